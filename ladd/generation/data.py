"""Sequences of one's own, as a task has them: from strings or ids to (n, N)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ladd.errors import ConfigError
from ladd.tasks import Task


def sequences(task: Task, data: Any) -> Tensor:
    """Clean sequences, int64 (n, N).

    Ids are taken as they are. Of strings, a task without special tokens takes one for each sequence, of exactly N
    tokens. One with special tokens takes them as documents, joined with its last special token (EOS) and cut into
    blocks, each between its first (BOS) and last where sequences begin with one; what is left over at the end is
    dropped, as it is when the data are made. A task that lays out strings in another way has a method
    ``sequences``, strings -> int64 (n, N).

    Args:
        task: with all files that its `encode` reads.
        data: strings, one string, or ids (n, N) or (N,).
    Raises:
        ConfigError: there is no whole sequence, or an id beyond [0, V).
    """
    tokens, vocabulary = task.settings.tokens, task.settings.vocabulary
    if isinstance(data, str):
        data = [data]
    if isinstance(data, list | tuple) and data and all(isinstance(each, str) for each in data):
        own = getattr(task, "sequences", None)
        ids = own(data) if own is not None else _blocks(task, data)
    else:
        ids = torch.as_tensor(np.asarray(data))
    if ids.dim() == 1:
        ids = ids[None]
    if ids.is_floating_point() or ids.dim() != 2 or ids.shape[1] != tokens or not len(ids):
        raise ConfigError(
            f"data: {ids.dtype} of shape {tuple(ids.shape)}; write strings, or whole ids (n, N = {tokens})"
        )
    if not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary:
        raise ConfigError(
            f"data: ids from {ids.min()} to {ids.max()}; they must be within 0 and V - 1 = {vocabulary - 1}"
        )
    return ids.long()


def _blocks(task: Task, texts: Sequence[str]) -> Tensor:
    tokens, encoded = task.settings.tokens, [task.encode(text) for text in texts]
    if not task.special:
        if wrong := next((each for each in encoded if len(each) != tokens), None):
            raise ConfigError(f"data: a string has {len(wrong)} tokens; each must have N = {tokens}")
        return torch.tensor(encoded)
    end = task.special[-1]
    stream = [id_ for each in encoded if each for id_ in (*each, end)][:-1]  # the last EOS separates nothing
    before, after = ([], []) if task.start is None else ([task.start], [end])
    body = tokens - len(before) - len(after)
    if len(stream) < body:
        raise ConfigError(f"data: the strings have {len(stream)} tokens, and a sequence needs {body}; give more text")
    cut = range(0, len(stream) - body + 1, body)
    return torch.tensor([[*before, *stream[place : place + body], *after] for place in cut])
