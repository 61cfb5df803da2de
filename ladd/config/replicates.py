"""Replicates: everything that is trained, trained again with seeds of its own, for errors over trainings.

A suite of R replicates has the blocks that are trained, and what is drawn from them, R times: KEY, KEY_2, ..., KEY_R.
Data and frozen encoders are shared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ladd.config.suite import Suite

SEPARATOR = "_"  # MLflow takes it in names of tags
OF_REPLICATE = re.compile(rf"(.+){SEPARATOR}(\d+)")  # no key of params.yaml that is trained or sampled has this form
TRAINED = ("latents", "codebooks", "priors", "baselines", "models")
REFERRING = ("latents", "model", "prior", "start", "teacher")  # settings that name an entry of these blocks


def replicate_of(key: str) -> int:
    """Number of the replicate that a key is of, from 1."""
    found = OF_REPLICATE.fullmatch(key)
    return int(found[2]) if found else 1


def without_replicate(key: str) -> str:
    """The key in params.yaml."""
    found = OF_REPLICATE.fullmatch(key)
    return found[1] if found else key


def replicated(suite: Suite) -> Suite:
    """A suite with an entry for every replicate; the sampling seeds are dealt out to them."""
    if suite.replicates == 1:
        return suite
    blocks: dict[str, dict[str, Any]] = {name: dict(getattr(suite, name)) for name in (*TRAINED, "sweeps")}
    several = {key for name in TRAINED for key in blocks[name]}
    for number in range(1, suite.replicates + 1):
        suffix = "" if number == 1 else f"{SEPARATOR}{number}"
        for name in (*TRAINED, "sweeps"):
            for key, entry in getattr(suite, name).items():
                named = {field: getattr(entry, field, None) for field in REFERRING}
                changes: dict[str, Any] = {
                    field: f"{value}{suffix}" for field, value in named.items() if value in several
                }
                if name == "sweeps":
                    changes["seeds"] = entry.seeds[number - 1 :: suite.replicates]
                blocks[name][key + suffix] = entry.model_copy(update=changes)
    expanded = suite.model_copy(update=blocks)
    expanded._written = suite
    return expanded
