"""Prompts and templates: from text with gaps to the tokens that a sampler starts from, and back to text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from ladd.config import Suite
from ladd.errors import ConfigError
from ladd.stages.manifest import check_outputs
from ladd.tasks import Task, task_of

Parts = Sequence[str | int]  # text, and gaps by their number of tokens

# "{{", "}}", a gap, or a brace that is none of them.
_BRACES = re.compile(r"\{\{|\}\}|\{([1-9][0-9]{0,8})\}|[{}]")


def checked_task(suite: Suite, data: str) -> Task:
    """The task of a data set; what it reads and writes text with is what the manifest of the data says.

    Raises:
        ArtifactError: it is missing, or another.
    """
    task = task_of(suite, data)
    check_outputs([path for path in task.readers if path.is_file()])  # else reading says what to do
    return task


def read_template(template: str) -> list[str | int]:
    """Text and gaps of a template: "{8}" is eight tokens to fill in, "{{" and "}}" are braces.

    Raises:
        ConfigError: a brace is neither doubled nor of a gap, or a gap has no token.
    """
    parts: list[str | int] = []
    text, end = "", 0
    for match in _BRACES.finditer(template):
        text, end, found = text + template[end : match.start()], match.end(), match[0]
        if found in ("{", "}"):
            shown = template[match.start() : match.start() + 12]
            raise ConfigError(
                f"--template: {shown!r} at character {match.start()} is no gap; write '{{8}}' for eight tokens, "
                "and '{{' or '}}' for a brace"
            )
        if match[1] is None:
            text += found[0]
        else:
            parts += [text, int(match[1])] if text else [int(match[1])]
            text = ""
    text += template[end:]
    return [*parts, text] if text else parts


def given_tokens(parts: Parts, task: Task, *, tokens: int, mask_id: int) -> Tensor:
    """Ids of text and gaps, int64 (n,) with n <= N; gaps are masked, and BOS comes first where blocks start with it.

    Each stretch of text is tokenised by itself: a space at its border belongs to it.

    Args:
        parts: of a template, or a prompt alone.
        task: of the data set.
        tokens: N.
        mask_id: V.
    Raises:
        ConfigError: they are more than N tokens.
    """
    encoded = [part if isinstance(part, int) else task.encode(part) for part in parts]
    encoded = encoded if task.start is None else [[task.start], *encoded]
    count = sum(part if isinstance(part, int) else len(part) for part in encoded)
    if count > tokens:
        framed = "" if task.start is None else ", BOS among them"
        raise ConfigError(
            f"prompt or template: it has {count} tokens{framed}, but the model's sequences have N = {tokens}; "
            "shorten it"
        )
    ids = [[mask_id] * part if isinstance(part, int) else part for part in encoded]
    return torch.tensor([*chain.from_iterable(ids)], dtype=torch.long)


def check_prefix(start: Tensor, mask_id: int) -> None:
    """Refuse given tokens after a gap, for a model that goes from left to right.

    Args:
        start: int64 (n,).
        mask_id: V.
    Raises:
        ConfigError: there is one.
    """
    masked = start == mask_id
    if (masked[:-1] & ~masked[1:]).any():
        raise ConfigError(
            "--template: the model goes from left to right, so text after a gap cannot be given; use --prompt"
        )
