"""What the plan says of every stage: its settings with all defaults filled in, and a hash of the code that it runs.

A stage runs again when its entry changes, or an output of another stage that it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from ladd.config import Suite
from ladd.files import WEIGHTS
from ladd.stages.code import Code, module_of
from ladd.stages.plan import ALL, Entry, Plan, digest


class Planned(NamedTuple):
    """One stage in the plan.

    Attributes:
        blocks: of params.yaml that have its keys; none for a stage without.
        settings: of a key. Names that dvc.yaml fills into paths (`IN_PATHS`) are among them.
        modules: that a key runs besides the stage's own, where they are found by name at run time.
        besides: of the code that is left out elsewhere, what counts here.
        without: code that its modules import and it does not run.
        words: whether it shows what things are called.
        takes: which entries of its blocks are its own.
    """

    blocks: tuple[str, ...]
    settings: Callable[[Suite, str], Entry]
    modules: Callable[[Suite, str], Sequence[str]] = lambda suite, key: ()
    besides: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    words: bool = False
    takes: Callable[[Any], bool] = lambda entry: True


def make_plan(suite: Suite, code: Code) -> Plan:
    """The plan of a suite."""
    return {stage: {key: entry_of(suite, code, stage, key) for key in keys_of(suite, stage)} for stage in PLANNED}


def stages_in_order(blocks: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str | None]]:
    """Name and key of all stages, where each comes after those that it reads.

    Args:
        blocks: of params.yaml with their entries, as objects or as plain values.
    """
    for stage, planned in PLANNED.items():
        keys = [key for block in planned.blocks for key, entry in blocks[block].items() if planned.takes(entry)]
        yield from ((stage, key) for key in (keys if planned.blocks else [None]))


def keys_of(suite: Suite, stage: str) -> list[str]:
    """Keys of a stage."""
    planned = PLANNED[stage]
    entries = [pair for block in planned.blocks for pair in getattr(suite, block).items()]
    return [key for key, entry in entries if planned.takes(entry)] if planned.blocks else [ALL]


def trained_by(suite: Suite, model: str) -> str:
    """The stage that trains a baseline or model."""
    return next(stage for stage in TRAINS_MODELS if model in keys_of(suite, stage))


def entry_of(suite: Suite, code: Code, stage: str, key: str) -> Entry:
    """The entry of one stage."""
    planned = PLANNED[stage]
    options = {"besides": planned.besides, "without": planned.without, "words": planned.words}
    return {"code": code.digest(modules_of(suite, stage, key), **options), **planned.settings(suite, key)}


def modules_of(suite: Suite, stage: str, key: str) -> list[str]:
    """Modules that a stage begins with."""
    return [f"ladd.stages.{stage}", *PLANNED[stage].modules(suite, key)]


def _values(block: BaseModel, **options: Any) -> Entry:
    return block.model_dump(mode="json", **options)


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


def _prior(suite: Suite, key: str) -> Entry:
    config = suite.priors[key]
    return _shared(suite) | _values(config) | {"shape": _shape(suite, config.latents)}


def _model(suite: Suite, key: str) -> Entry:
    config = suite.model(key)
    shape = {} if config.latents_name is None else {"shape": _shape(suite, config.latents_name)}
    return _shared(suite) | _sizes(suite, config.data) | _values(config) | shape


def _sweep(suite: Suite, key: str) -> Entry:
    sweep = suite.sweeps[key]
    model = {name: value for name, value in _model(suite, sweep.model).items() if name != "training"}
    # dvc.yaml has one list of dependencies for all sweeps: those without a prior name the weights of their model again.
    known = {"model_settings": digest(model), "drawn_by": f"artifacts/models/{sweep.model}/{WEIGHTS}"}
    if sweep.prior is not None:
        prior = {name: value for name, value in _prior(suite, sweep.prior).items() if name != "training"}
        known |= {"prior_settings": digest(prior), "drawn_by": f"artifacts/priors/{sweep.prior}"}
    return _shared(suite) | _sizes(suite, sweep.data) | _values(sweep) | known


def _bound(suite: Suite, key: str) -> Entry:
    model = {name: value for name, value in _model(suite, key).items() if name != "training"}
    samplers = suite.model(key).system.samplers(suite.model(key))
    schedules = {
        name: {"latent_lead": sweep.latent_lead, "latents_at": samplers[sweep.schedule].latents_at}
        for name, sweep in suite.inferences(key).items()
    }
    evaluation = _values(suite.evaluation_of(model["data"]), exclude={"metrics", "reference"})
    return {"suite": suite.suite, **model, "model": key, "evaluation": evaluation, "schedules": schedules}


def _measured(suite: Suite, key: str) -> Entry:
    sweep = suite.sweeps[key]
    return {"suite": suite.suite, **_sweep(suite, key), "evaluation": _values(suite.evaluation_of(sweep.data))}


def _reference(suite: Suite, key: str) -> Entry:
    settings = {"settings": _values(suite.data[key]), "evaluation": _values(suite.evaluation_of(key))}
    return {"suite": suite.suite, **_shared(suite), **settings}


def _compared(suite: Suite, key: str) -> Entry:
    claims = {name: _values(claim) for name, claim in suite.claims.items()}
    return {"settings": digest(_values(suite, exclude={"root", "run"}) | ({"claims": claims} if claims else {}))}


def _system(suite: Suite, key: str) -> list[str]:
    return [module_of(suite.model(key).system)]


def _sampler(suite: Suite, key: str) -> list[str]:
    sweep = suite.sweeps[key]
    settings = suite.model(sweep.model)
    samplers = settings.system.samplers(settings)[sweep.schedule], *getattr(sweep, "parts", ())
    return [*_system(suite, sweep.model), *map(module_of, samplers), *_task(suite, sweep.data)]


def _task(suite: Suite, data: str) -> list[str]:
    return [module_of(suite.data[data].task)]


def _metrics(suite: Suite, data: str) -> list[str]:
    task = suite.data[data].task(suite, data)
    return [*_task(suite, data), *sorted({module_of(type(metric)) for metric in task.metrics()})]


def _shown(suite: Suite, key: str) -> list[str]:
    """Systems, tasks and metrics say what they are called, and how they are drawn."""
    systems = {module for sweep in suite.sweeps.values() for module in _system(suite, sweep.model)}
    return sorted(systems | {module for data in suite.data for module in _metrics(suite, data)})


def _with(field: str) -> Callable[[Any], bool]:
    """Whether an entry, as an object or as plain values, has a value of a setting."""

    def has(entry: Any) -> bool:
        return (entry.get(field) if isinstance(entry, Mapping) else getattr(entry, field, None)) is not None

    return has


def _without(field: str) -> Callable[[Any], bool]:
    has = _with(field)
    return lambda entry: not has(entry)


# A system is one file: its bounds and what samplers ask of it stand beside its loss. So is a task.
EVALUATION, SAMPLERS, METRICS = ("ladd/evaluation/",), ("ladd/samplers/",), ("ladd/metrics/",)
NOT_TRAINED_WITH = EVALUATION + SAMPLERS
NOT_BUILT_WITH = (*NOT_TRAINED_WITH, *METRICS, "ladd/systems/")

TRAINS_MODELS = ("baseline", "stage2", "adapt")

PLANNED = {
    "data": Planned(("data",), _data, _task, without=NOT_BUILT_WITH),
    "encode": Planned(
        ("encoders",), _encoder, lambda suite, key: _task(suite, suite.encoders[key].data), without=NOT_BUILT_WITH
    ),
    "codebook": Planned(("codebooks",), _codebook),
    "stage1": Planned(("latents",), _latents, without=NOT_TRAINED_WITH),
    "prior": Planned(("priors",), _prior, without=NOT_TRAINED_WITH, takes=_without("teacher")),
    "distil": Planned(("priors",), _prior, without=NOT_TRAINED_WITH, takes=_with("teacher")),
    "baseline": Planned(("baselines",), _model, _system, without=NOT_TRAINED_WITH),
    "stage2": Planned(("models",), _model, _system, without=NOT_TRAINED_WITH, takes=_without("start")),
    "adapt": Planned(("models",), _model, _system, without=NOT_TRAINED_WITH, takes=_with("start")),
    "sample": Planned(("sweeps",), _sweep, _sampler, without=(*EVALUATION, *METRICS)),
    "bound": Planned(
        ("baselines", "models"),
        _bound,
        lambda suite, key: [*_system(suite, key), *_task(suite, suite.model(key).data)],
        without=(*SAMPLERS, *METRICS),
    ),
    "measure": Planned(
        ("sweeps",),
        _measured,
        lambda suite, key: [*_system(suite, suite.sweeps[key].model), *_metrics(suite, suite.sweeps[key].data)],
    ),
    "reference": Planned(("data",), _reference, _metrics),
    "compare": Planned((), _compared, _shown, besides=("ladd/report/",), words=True),
}
