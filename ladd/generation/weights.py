"""The weights to generate with: the final ones of a trained model, or those of a tracked checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ladd.config import Suite, SweepConfig
from ladd.errors import ArtifactError, ConfigError
from ladd.files import WEIGHTS
from ladd.stages.manifest import check_outputs, remembered
from ladd.stages.planned import TRAINS_MODELS, keys_of, trained_by
from ladd.stages.trained import load_sampled

URI_SCHEMES = ("runs:/", "models:/")


class Weights(NamedTuple):
    """A file of weights on disk, and its hash."""

    model: str  # key of the baseline or model
    path: Path  # from the folder of the suite
    sha256: str


def final_weights(suite: Suite, key: str) -> Weights:
    """The final weights of a baseline or model, verified.

    Raises:
        ArtifactError: it is not trained, or they are not what its manifest says.
    """
    path = Path(f"artifacts/models/{key}") / WEIGHTS
    if not path.is_file():
        raise ArtifactError(
            f"{key!r} is not trained, {path} is missing: `dvc repro -s {_stage(suite, key)}` makes it "
            "(without -s, with all that it needs), or `dvc pull` where a remote has it"
        )
    check_outputs([path])
    return Weights(key, path, _sha256(path))


def tracked_weights(suite: Suite, uri: str) -> Weights:
    """The weights of a checkpoint by the URI of its run (then the last) or its own, read from disk and verified.

    Raises:
        ArtifactError: the tracking server does not know it, the file is not on disk, or is another one.
        ConfigError: it is of another suite, of a model that is no longer there, or of no model at all.
    """
    from ladd.tracking import find_checkpoint  # here, as mlflow takes seconds to import and names do without

    found = find_checkpoint(Path(suite.root), uri)
    if found.suite != suite.suite:
        raise ConfigError(
            f"{uri} is of suite {found.suite!r}, and this is {suite.suite!r}; name the folder of its suite with --suite"
        )
    stage, _, key = found.stage.partition("@")
    known = {name: keys_of(suite, name) for name in TRAINS_MODELS}
    if stage not in known:
        raise ConfigError(
            f"{uri} is of {found.stage}, which gives no text; name a run of baseline@M, stage2@M or adapt@M"
        )
    if key not in known[stage]:
        raise ConfigError(f"{uri} is of {found.stage}, but this suite has only {sorted(known[stage])}")
    path = Path(found.path)
    remedy = f"check out commit {found.commit} and run `dvc pull {path.parents[1]}` or `dvc repro {found.stage}`"
    if not path.is_file():
        raise ArtifactError(f"{uri} is {path}, which is not on disk; {remedy}")
    if (actual := _sha256(path)) != found.sha256:
        raise ArtifactError(f"{path} has sha256 {actual}, but {uri} was logged with {found.sha256}; {remedy}")
    return Weights(key, path, actual)


def _sha256(path: Path) -> str:
    with remembered() as hashes:
        return hashes(path).sha256


def load_model(suite: Suite, sweep: SweepConfig, weights: Weights, device: torch.device) -> nn.Module:
    """The model of a sweep with these weights, in evaluation mode.

    Raises:
        ArtifactError: they are not of the network that params.yaml describes.
    """
    try:
        return load_sampled(suite, sweep, device, weights.path)
    except RuntimeError as error:  # names or shapes differ
        raise ArtifactError(
            f"{weights.path} does not fit {weights.model!r} as params.yaml describes it: that has changed since it "
            f"was trained; change it back, or run `dvc repro {_stage(suite, weights.model)}`"
        ) from error


def _stage(suite: Suite, key: str) -> str:
    return f"{trained_by(suite, key)}@{key}"
