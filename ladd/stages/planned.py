"""What the plan says of every stage: its settings with all defaults filled in, and a hash of the code that it runs.

A stage runs again when its entry changes, or an output of another stage that it reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from ladd.config import Suite, TextDataConfig
from ladd.stages.code import Code, module_of

Entry = dict[str, Any]  # values that YAML has
Plan = dict[str, dict[str, Entry]]  # stage -> key -> entry; a stage without keys has one called `ALL`
ALL = "all"


class Planned(NamedTuple):
    """One stage in the plan.

    Attributes:
        block: of params.yaml that has its keys; None for a stage without.
        settings: of a key. Names that dvc.yaml fills into paths (data, latents, model) are among them.
        modules: that a key runs besides the stage's own, where they are found by name at run time.
        besides: of the code that is left out elsewhere, what counts here.
        without: code that its modules import and it does not run.
    """

    block: str | None
    settings: Callable[[Suite, str], Entry]
    modules: Callable[[Suite, str], Sequence[str]] = lambda suite, key: ()
    besides: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def make_plan(suite: Suite, code: Code) -> Plan:
    """The plan of a suite."""
    return {stage: {key: entry_of(suite, code, stage, key) for key in keys_of(suite, stage)} for stage in PLANNED}


def stages_in_order(blocks: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str | None]]:
    """Name and key of all stages, where each comes after those that it reads.

    Args:
        blocks: of params.yaml with their keys.
    """
    for stage, planned in PLANNED.items():
        yield from ((stage, key) for key in (blocks[planned.block] if planned.block else [None]))


def keys_of(suite: Suite, stage: str) -> list[str]:
    """Keys of a stage."""
    block = PLANNED[stage].block
    return [ALL] if block is None else list(getattr(suite, block))


def entry_of(suite: Suite, code: Code, stage: str, key: str) -> Entry:
    """The entry of one stage."""
    planned = PLANNED[stage]
    digest = code.digest(modules_of(suite, stage, key), besides=planned.besides, without=planned.without)
    return {"code": digest, **planned.settings(suite, key)}


def modules_of(suite: Suite, stage: str, key: str) -> list[str]:
    """Modules that a stage begins with."""
    return [f"ladd.stages.{stage}", *PLANNED[stage].modules(suite, key)]


def _values(block: BaseModel, **options: Any) -> Entry:
    return block.model_dump(mode="json", **options)


def _hash(settings: Entry) -> str:
    """Of settings that the plan of another stage has in full."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _shared(suite: Suite) -> Entry:
    return {"seed": suite.seed, "compute": _values(suite.compute)}


def _sizes(suite: Suite, data: str) -> Entry:
    """What stages know of a data set besides its files."""
    return {"data": data, "tokens": suite.data[data].tokens, "vocabulary": suite.data[data].vocabulary}


def _shape(suite: Suite, latents: str) -> Entry:
    shape = suite.latent_shape(latents)
    return {**shape._asdict(), "scale": shape.scale}


def _data(suite: Suite, key: str) -> Entry:
    return {"seed": suite.seed, **_values(suite.data[key])}


def _encoder(suite: Suite, key: str) -> Entry:
    return _shared(suite) | _values(suite.encoders[key])


def _codebook(suite: Suite, key: str) -> Entry:
    return _shared(suite) | _values(suite.codebooks[key]) | {"shape": _shape(suite, key)}


def _latents(suite: Suite, key: str) -> Entry:
    config = suite.latents[key]
    return _shared(suite) | _sizes(suite, config.data) | _values(config) | {"shape": _shape(suite, key)}


def _model(suite: Suite, key: str) -> Entry:
    config = suite.model(key)
    shape = {} if config.latents_name is None else {"shape": _shape(suite, config.latents_name)}
    return _shared(suite) | _sizes(suite, config.data) | _values(config) | shape


def _sweep(suite: Suite, key: str) -> Entry:
    sweep = suite.sweeps[key]
    model = {name: value for name, value in _model(suite, sweep.model).items() if name != "training"}
    return _shared(suite) | _sizes(suite, sweep.data) | _values(sweep) | {"model_settings": _hash(model)}


def _evaluated(suite: Suite, key: str) -> Entry:
    sweep = suite.sweeps[key]
    data = suite.data[sweep.data]
    corpora = {"zero_shot": list(data.zero_shot)} if isinstance(data, TextDataConfig) else {}
    return {"suite": suite.suite, **_sweep(suite, key), **corpora, "evaluation": _values(suite.evaluation)}


def _reference(suite: Suite, key: str) -> Entry:
    settings = {"settings": _values(suite.data[key]), "evaluation": _values(suite.evaluation)}
    return {"suite": suite.suite, **_shared(suite), **settings}


def _compared(suite: Suite, key: str) -> Entry:
    return {"settings": _hash(_values(suite, exclude={"root", "run"}))}


def _system(suite: Suite, key: str) -> list[str]:
    return [module_of(suite.model(key).system)]


def _sampler(suite: Suite, key: str) -> list[str]:
    sweep = suite.sweeps[key]
    settings = suite.model(sweep.model)
    return [module_of(settings.system), module_of(settings.system.samplers(settings)[sweep.schedule])]


def _systems(suite: Suite, key: str) -> list[str]:
    """Labels and colours of what is compared stand in the systems."""
    return sorted({module_of(suite.model(sweep.model).system) for sweep in suite.sweeps.values()})


# A system is one file: its bounds and what samplers ask of it stand beside its loss.
NOT_TRAINED_WITH = ("ladd/evaluation/", "ladd/samplers/")

PLANNED = {
    "data": Planned("data", _data),
    "encode": Planned("encoders", _encoder),
    "codebook": Planned("codebooks", _codebook),
    "stage1": Planned("latents", _latents, without=NOT_TRAINED_WITH),
    "baseline": Planned("baselines", _model, _system, without=NOT_TRAINED_WITH),
    "stage2": Planned("models", _model, _system, without=NOT_TRAINED_WITH),
    "sample": Planned("sweeps", _sweep, _sampler, without=("ladd/evaluation/",)),
    "evaluate": Planned("sweeps", _evaluated, _sampler),
    "reference": Planned("data", _reference),
    "compare": Planned(None, _compared, _systems, besides=("ladd/report/",)),
}
