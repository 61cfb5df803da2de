"""The params.yaml of a suite on one's own data, as text with comments."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ladd.launch.own_sizes import Layout
from ladd.tasks.text.own import Cut
from ladd.yaml_files import parse_yaml

STARTERS = "ladd/starters"  # from the root of the repository
PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./*+-]*")
STEPS = [1, 2, 4, 8]  # token steps; the last budget is N


@dataclass
class Draft:
    """What is particular to the suite.

    Attributes:
        tokens: N.
        about: comments, by the setting that they stand behind.
    """

    name: str
    layout: Layout
    train: dict[str, Any]
    tokenizer: dict[str, Any]
    tokens: int
    share: float
    cut: Cut = "none"
    steps: dict[str, int] = field(default_factory=lambda: {"baselines": 100, "latents": 100, "models": 100})
    samples: int = 8
    about: dict[str, str] = field(default_factory=dict)


def params_text(draft: Draft) -> str:
    """At most 30 lines."""
    asset, rest = draft.train["asset"], {name: each for name, each in draft.train.items() if name != "asset"}
    lines = [
        "# Made by `ladd new` (docs/your-data.md). N tokens, V vocabulary.",
        "# Source and licence of the data: (fill in)",
        f"extends: ../../{STARTERS}/{draft.layout}.yaml # networks, models, sweeps, metrics",
        f"suite: {scalar(draft.name)}",
        "data:",
        f"  {scalar(draft.name)}:",
        f"    tokens: {draft.tokens} # N{draft.about.get('tokens', '')}",
        f"    tokenizer: {inline(draft.tokenizer)} # V",
        "    train:",
        f"      asset: {inline(asset)}",
        *(_commented(f"      {name}: {scalar(each)}", draft.about.get(name)) for name, each in rest.items()),
        f"    validation: {draft.share} # of the documents, drawn from all over them",
    ]
    if draft.cut != "none":
        lines.append(f"    cut: {draft.cut} # which then are the documents")
    return "\n".join(
        [
            *lines,
            "defaults: # steps for minutes on 2 cores; more are better",
            *(f"  {block}: {{training: {{steps: {steps}}}}}" for block, steps in draft.steps.items()),
            "sweeps:",
            f"  ar: {{token_steps: [{draft.tokens}]}} # N",
            f"  mdlm: {{token_steps: {[*STEPS, *[draft.tokens] * (draft.tokens > STEPS[-1])]}}}",
            f"evaluation: {{reference: {{samples: {draft.samples}}}}} # per seed",
            "",
        ]
    )


def _commented(line: str, comment: str | None) -> str:
    return line if comment is None else f"{line} # {comment}"


def inline(values: dict[str, Any]) -> str:
    """A map on one line; a map within it too."""
    each = (f"{name}: {inline(value) if isinstance(value, dict) else scalar(value)}" for name, value in values.items())
    return "{" + ", ".join(each) + "}"


def scalar(value: Any) -> str:
    """A number or a text, in quotes where YAML would read something else."""
    if isinstance(value, str) and PLAIN.fullmatch(value) and parse_yaml(value, "a value") == value:
        return value
    return json.dumps(value, ensure_ascii=False)
