"""plan: write plan.json, which says of every stage what it depends on besides files.

That is its settings with all defaults filled in, and a hash of the code that it runs. A stage runs again when its entry
changes, or an output of another stage that it reads.

It is the first stage, and DVC runs it each time, in about a second: it has no dependencies that DVC could record, or a
comment in the code would change dvc.lock.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from ladd.config import Suite, load_suite
from ladd.errors import LaddError, PlanError
from ladd.files import WEIGHTS, write_atomically
from ladd.registry import suite_folder
from ladd.stages.code import Code, module_of

Entry = dict[str, Any]  # values that YAML has
Plan = dict[str, dict[str, Entry]]  # stage -> key -> entry; a stage without keys has one called `ALL`
ALL = "all"


class Planned(NamedTuple):
    """One stage in the plan. ``settings``: of a key. Names that dvc.yaml fills into paths (data, latents, model) are
    among them. ``modules``: that a key runs besides the stage's own, where they are found by name at run time."""

    blocks: tuple[str, ...]  # of params.yaml that have its keys; none for a stage without
    settings: Callable[[Suite, str], Entry]
    modules: Callable[[Suite, str], Sequence[str]] = lambda suite, key: ()
    besides: tuple[str, ...] = ()  # of the code that is left out elsewhere, what counts here
    without: tuple[str, ...] = ()  # code that its modules import and it does not run


def make_plan(suite: Suite, code: Code) -> Plan:
    return {stage: {key: entry_of(suite, code, stage, key) for key in keys_of(suite, stage)} for stage in PLANNED}


def stages_in_order(blocks: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str | None]]:
    """Name and key of all stages, where each comes after those that it reads."""
    for stage, planned in PLANNED.items():
        keys = [key for block in planned.blocks for key in blocks[block]]
        yield from ((stage, key) for key in (keys if planned.blocks else [None]))


def keys_of(suite: Suite, stage: str) -> list[str]:
    blocks = PLANNED[stage].blocks
    return [key for block in blocks for key in getattr(suite, block)] if blocks else [ALL]


def entry_of(suite: Suite, code: Code, stage: str, key: str) -> Entry:
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
    known = {"model_settings": _hash(model), "drawn_by": f"artifacts/models/{sweep.model}/{WEIGHTS}"}
    if sweep.prior is not None:
        prior = {name: value for name, value in _prior(suite, sweep.prior).items() if name != "training"}
        known |= {"prior_settings": _hash(prior), "drawn_by": f"artifacts/priors/{sweep.prior}"}
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


def _system(suite: Suite, key: str) -> list[str]:
    return [module_of(suite.model(key).system)]


def _sampler(suite: Suite, key: str) -> list[str]:
    sweep = suite.sweeps[key]
    settings = suite.model(sweep.model)
    sampler = module_of(settings.system.samplers(settings)[sweep.schedule])
    return [*_system(suite, sweep.model), sampler, *_task(suite, sweep.data)]


def _task(suite: Suite, data: str) -> list[str]:
    return [module_of(suite.data[data].task)]


def _metrics(suite: Suite, data: str) -> list[str]:
    task = suite.data[data].task(suite, data)
    return [*_task(suite, data), *sorted({module_of(type(metric)) for metric in task.metrics()})]


# A system is one file: its bounds and what samplers ask of it stand beside its loss. So is a task.
EVALUATION, SAMPLERS = ("ladd/evaluation/",), ("ladd/samplers/",)
TRAINED = EVALUATION + SAMPLERS
BUILT = (*TRAINED, "ladd/metrics/", "ladd/systems/", "ladd/tasks/text/references.py")

PLANNED = {
    "data": Planned(
        ("data",), lambda suite, key: {"seed": suite.seed, **_values(suite.data[key])}, _task, without=BUILT
    ),
    "encode": Planned(
        ("encoders",),
        lambda suite, key: _shared(suite) | _values(suite.encoders[key]),
        lambda suite, key: _task(suite, suite.encoders[key].data),
        without=BUILT,
    ),
    "codebook": Planned(
        ("codebooks",),
        lambda suite, key: _shared(suite) | _values(suite.codebooks[key]) | {"shape": _shape(suite, key)},
    ),
    "stage1": Planned(("latents",), _latents, without=TRAINED),
    "prior": Planned(("priors",), _prior, without=TRAINED),
    "baseline": Planned(("baselines",), _model, _system, without=TRAINED),
    "stage2": Planned(("models",), _model, _system, without=TRAINED),
    "sample": Planned(("sweeps",), _sweep, _sampler, without=(*EVALUATION, "ladd/metrics/")),
    "bound": Planned(
        ("baselines", "models"),
        _bound,
        lambda suite, key: [*_system(suite, key), *_task(suite, suite.model(key).data)],
        without=SAMPLERS,
    ),
    "measure": Planned(
        ("sweeps",),
        _measured,
        lambda suite, key: [*_system(suite, suite.sweeps[key].model), *_metrics(suite, suite.sweeps[key].data)],
    ),
    "reference": Planned(("data",), _reference, _metrics),
    "compare": Planned(
        (),
        lambda suite, key: {"settings": _hash(_values(suite, exclude={"root", "run"}))},
        # Labels and colours of what is compared stand in the systems.
        lambda suite, key: sorted({module_of(suite.model(sweep.model).system) for sweep in suite.sweeps.values()}),
        besides=("ladd/report/",),
    ),
}


PLAN, TOP = Path("plan.json"), "plan"  # JSON, as DVC reads it once for every stage
IN_PATHS = ("data", "latents", "model", "drawn_by")  # settings that dvc.yaml fills into paths


def renew_plan(folder: Path = Path()) -> bool:
    """Write the plan of a suite where it is not that of its settings and code. Returns whether the stages or their
    paths are others than those of the plan that was there. Raises ConfigError: the settings are not valid."""
    suite, old = load_suite(folder / "params.yaml"), read_plan(folder)
    with suite_folder(folder):
        new = make_plan(suite, Code(folder / suite.root, folder))
    if old != new:
        write_atomically(folder / PLAN, _text(new).encode())
    return old is not None and _paths(old) != _paths(new)


def read_plan(folder: Path = Path()) -> Plan | None:
    """The plan as DVC finds it; None where there is none, or one that is damaged."""
    path = folder / PLAN
    try:
        return json.loads(path.read_text())[TOP] if path.is_file() else None
    except (ValueError, TypeError, KeyError):
        return None


def check_plan(name: str, entry: Entry) -> None:
    """Whether the plan on the disk, which DVC records, has an entry for a stage, and that one. Raises PlanError: it
    has not."""
    stage, _, key = name.partition("@")
    planned: Any = (read_plan() or {}).get(stage, {})
    if not isinstance(planned, dict) or planned.get(key or ALL) != entry:
        raise PlanError(
            f"{name}: {PLAN} is not that of params.yaml and the code; run `dvc repro plan`, then this again"
        )


def started_by_dvc() -> bool:
    """Whether DVC started this process, and records what it does."""
    return "DVC_STAGE" in os.environ


def _text(plan: Plan) -> str:
    """One entry per line: git shows which are others, and `dvc params diff` what of them."""
    stages = []
    for stage, entries in plan.items():
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items())
        stages.append(f"{json.dumps(stage)}: {{\n{lines}\n}}")
    return f'{{"{TOP}": {{\n' + ",\n".join(stages) + "\n}}\n"


def _paths(plan: Plan) -> dict[str, dict[str, list[Any]]]:
    return {
        stage: {key: [entry.get(name) for name in IN_PATHS] for key, entry in entries.items()}
        for stage, entries in plan.items()
    }


def main() -> None:
    try:
        if renew_plan() and started_by_dvc():
            sys.exit(f"params.yaml has other stages than {PLAN} had when DVC read it: run the same command again")
    except LaddError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
