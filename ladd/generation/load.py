"""`ladd.load`: a trained model by the name of a sweep, a folder, a tracked run, a registered model or the hub."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path

from torch import nn

from ladd.config import Suite, load_suite
from ladd.errors import ConfigError, nearest
from ladd.files import WEIGHTS
from ladd.generation.card import origin_of
from ladd.generation.folder import chosen_device, is_model, open_model
from ladd.generation.model import Model
from ladd.generation.settings import sweep_of
from ladd.generation.weights import URI_SCHEMES, final_weights, load_model, tracked_weights
from ladd.latents.prior import build_prior
from ladd.registry import PARAMS, suite_folder
from ladd.stages.artifacts import REDUCTION, load_weights
from ladd.stages.code import module_of
from ladd.stages.manifest import check_outputs
from ladd.tasks import task_of

REGISTERED = re.compile(r"models:/[^/@]+(@[^/@]+|/[^/@]+)$")
HUB = re.compile(r"[\w.-]+/[\w.-]+")
_loading = threading.RLock()  # paths of a suite are relative to its folder


def load(
    name: str | os.PathLike[str],
    *,
    suite: str | os.PathLike[str] = ".",
    device: str | None = None,
    trust_code: bool = False,
    revision: str | None = None,
) -> Model:
    """A trained model, ready to sample.

    Args:
        name: a sweep, baseline or model of a suite, as "di-seq" or "models.di-ladd", or with the suite's folder before
            it, "suites/text-demo/di-seq"; a folder that `Model.save_pretrained` wrote; "runs:/RUN_ID" or "models:/m-ID"
            for a checkpoint of the suite, by MLflow; "models:/NAME@ALIAS" or "models:/NAME/VERSION" for what was
            registered there; or ORGANISATION/NAME on the Hugging Face hub.
        suite: folder of params.yaml, for names of a suite and checkpoints.
        device: "cpu" or "cuda"; None for that of the suite where it is here, else the CPU.
        trust_code: of a folder or the hub: whether modules of its suite may run.
    Raises:
        ConfigError: there is no such name, with the nearest one.
        ArtifactError: it is not trained, not here, or damaged.
    """
    text, path = os.fspath(name), Path(name)
    if REGISTERED.fullmatch(text) and not text.startswith("models:/m-"):
        from ladd.tracking import registered_folder  # mlflow takes seconds to import

        return open_model(registered_folder(_root(Path(suite)), text), device=device, trust_code=True)
    if text.startswith(URI_SCHEMES):
        return from_suite(Path(suite), text, device=device)
    if is_model(path):
        return open_model(path, device=device, trust_code=trust_code)
    for folder, key in ((Path(suite), text), (path.parent, path.name)):
        if "/" not in key and (folder / PARAMS).is_file():
            return from_suite(folder, key, device=device)
    if HUB.fullmatch(text) and not path.exists():
        return Model.from_pretrained(text, device=device, trust_code=trust_code, revision=revision)
    what = "is no folder of a model" if path.exists() else "is neither a folder nor a name on the hub"
    raise ConfigError(
        f"{text!r} {what}, and there is no {Path(suite) / PARAMS} that could name it; write FOLDER/SWEEP of a suite, "
        f"or give its folder as suite{nearest(text, _beside(path))}"
    )


def from_suite(folder: Path, name: str, *, device: str | None = None) -> Model:
    """The model of a sweep, baseline, model or checkpoint (see `load`) of the suite in a folder."""
    folder = folder.resolve()
    if not folder.is_dir():
        raise ConfigError(f"suite: {folder} is no folder; name one that has a {PARAMS}")
    with _loading, contextlib.chdir(folder), suite_folder(folder):
        suite = load_suite()
        tracked = tracked_weights(suite, name) if name.startswith(URI_SCHEMES) else None
        if tracked is not None:
            name = f"{'baselines' if tracked.model in suite.baselines else 'models'}.{tracked.model}"
        sweep = sweep_of(suite, name, {}, 0)
        weights = tracked or final_weights(suite, sweep.model)
        where = chosen_device(suite.compute, device)
        network = load_model(suite, sweep.model_copy(update={"prior": None}), weights, where)
        priors = {key: each.to(where) for key, each in _priors(suite, sweep.model, sweep.prior).items()}
        task = task_of(suite, sweep.data)
        check_outputs([path for path in task.readers if path.is_file()])  # else reading says what to do
        files = {path.relative_to(task.folder).as_posix(): folder / path for path in task.readers}
        if (reduction := Path(f"artifacts/models/{sweep.model}/{REDUCTION}")).is_file():
            check_outputs([reduction])
            files[REDUCTION] = folder / reduction
        files |= {path.name: path for path in _modules(suite, folder, sweep.model)}
        origin = origin_of(folder, suite, name, sweep.model, weights.sha256)
        absolute = suite.model_copy(update={"root": str((folder / suite.root).resolve())})
    return Model(
        absolute,
        _whole_name(suite, name),
        network,
        home=folder,
        task_folder=folder / task.folder,
        priors=priors,
        files=files,
        origin=origin,
    )


def _priors(suite: Suite, model: str, wanted: str | None) -> dict[str, nn.Module]:
    """Priors of the latents of a model that are trained, and the one that is wanted."""
    found: dict[str, nn.Module] = {}
    for key in suite.priors_of(suite.model(model).latents_name):
        folder = Path(f"artifacts/priors/{key}")
        if key == wanted or folder.is_dir():
            check_outputs([folder])
            found[key] = build_prior(suite.priors[key], suite.latent_shape(suite.priors[key].latents))
            load_weights(found[key], folder / WEIGHTS)
            found[key].eval()
    return found


def _modules(suite: Suite, folder: Path, model: str) -> list[Path]:
    """All modules of a suite, where its model, its task or one of its samplers is one of them."""
    config = suite.model(model)
    used = [config.system, suite.data[config.data].task, *config.system.samplers(config).values()]
    own = any(not module_of(each).startswith("ladd.") for each in used)
    return sorted(folder.glob("[!_.]*.py")) if own else []


def _whole_name(suite: Suite, name: str) -> str:
    """With its block, as `sweep_of` reads a name."""
    block, _, key = name.rpartition(".")
    blocks = (block,) if block else ("sweeps", "baselines", "models")
    return next(f"{each}.{key}" for each in blocks if key in getattr(suite, each))


def _root(folder: Path) -> Path:
    """Of the repository that a suite is of, or the folder itself."""
    return folder / load_suite(folder / PARAMS).root if (folder / PARAMS).is_file() else folder


def _beside(path: Path) -> list[str]:
    parent = path.parent
    return [str(parent / each.name) for each in parent.iterdir() if each.is_dir()] if parent.is_dir() else []
