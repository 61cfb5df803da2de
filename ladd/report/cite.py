"""BibTeX of the systems and samplers that a suite uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ladd.config import Suite
from ladd.config.suite import load_suite
from ladd.registry import PARAMS, suite_folder


def bibliography(folder: str | os.PathLike) -> str:
    """Entries of a suite, in the order of its models and sweeps; the names of what has none in a comment."""
    path = Path(folder) / PARAMS
    suite = load_suite(path).written
    with suite_folder(path.parent):
        used = used_by(suite)
    entries = dict.fromkeys(entry for each in used if (entry := citation(each)))
    without = sorted({each.name for each in used if not citation(each)})
    comment = [f"% without an entry: {', '.join(without)}"] if without else []
    return "\n\n".join([*entries, *comment]) + "\n"


def citation(of: Any) -> str:
    """BibTeX of a system or sampler, "" for none; one that is derived from another has its entry or its own."""
    return str(getattr(of, "citation", "")).strip()


def used_by(suite: Suite) -> list[Any]:
    """Classes of the systems and samplers of a suite, each once; samplers that all models share say nothing new."""
    models = [*suite.baselines.values(), *suite.models.values()]
    systems: list[Any] = [model.system for model in models]
    samplers: list[Any] = []
    for sweep in suite.sweeps.values():
        model = suite.model(sweep.model)
        samplers += [model.system.samplers(model)[sweep.schedule], *getattr(sweep, "parts", ())]
    cited = [each for each in samplers if citation(each)]
    return list(dict.fromkeys([*systems, *cited]))
