"""A whole params.yaml, read and checked before anything runs."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, SerializeAsAny, TypeAdapter, WrapValidator, model_validator

from ladd.config.blocks import Batch, Block, ComputeConfig, Key, Seed, Text, Workers, named
from ladd.config.claims import Claim
from ladd.config.data import DataConfig
from ladd.config.evaluation import EvaluationConfig, Sweep, SweepConfig
from ladd.config.inherit import read_settings
from ladd.config.latents import CodebookConfig, EncoderConfig, LatentsConfig, LatentShape, PriorConfig, of_prior
from ladd.config.messages import checked
from ladd.config.models import SystemConfig, SystemSettings
from ladd.config.replicates import replicated
from ladd.errors import ConfigError
from ladd.registry import suite_folder


class RunConfig(Block):
    """How the work is done: none of it changes a number, so none of it is in the plan, and no change runs a stage."""

    workers: Workers = 2  # processes that pack text
    shard: Batch = 65536  # blocks of text per file
    latent_shard: Batch = 65536  # blocks of latents per file; a killed pass goes on from the last whole one
    batch: Batch = 512  # samples that are drawn at a time


Evaluation = Annotated[SerializeAsAny[EvaluationConfig], WrapValidator(named("Task", "kind", "Evaluation"))]
_EACH = TypeAdapter(dict[Key, Evaluation])


def _one_or_each(values: Any, _: Any) -> Any:
    """The block `evaluation`, or such a block for every data set."""
    each = isinstance(values, dict) and values and "kind" not in values
    if each and all(isinstance(value, dict) for value in values.values()):
        return _EACH.validate_python(values)
    return named("Task", "kind", "Evaluation")(values, _)


class Suite(Block):
    """A whole params.yaml."""

    root: Text  # path from the suite's folder to the repository
    suite: Key
    seed: Seed
    replicates: Annotated[int, Field(ge=1, le=99)] = 1  # trainings of everything that is trained
    compute: ComputeConfig
    run: RunConfig = Field(default_factory=RunConfig)
    data: dict[Key, Annotated[SerializeAsAny[DataConfig], WrapValidator(named("Task", "kind"))]]
    encoders: dict[Key, EncoderConfig] = Field(default={})
    latents: dict[Key, LatentsConfig] = Field(default={})
    codebooks: dict[Key, CodebookConfig] = Field(default={})
    priors: dict[Key, Annotated[SerializeAsAny[PriorConfig], WrapValidator(of_prior)]] = Field(default={})
    baselines: dict[Key, SystemConfig] = Field(default={})  # systems without latents
    models: dict[Key, SystemConfig] = Field(default={})
    sweeps: dict[Key, Sweep]
    claims: dict[Key, Claim] = Field(default={}, exclude=True)  # in a file of their own, so in no copy of the settings
    # Of all data sets, or of each by its key.
    evaluation: Annotated[Evaluation | dict[Key, Evaluation], WrapValidator(_one_or_each)]

    _written: Suite | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """What follows from other blocks may be left out: the only data set, and the size of sets of samples."""
        if not isinstance(values, dict):
            return values
        filled, data, evaluation = dict(values), values.get("data"), values.get("evaluation")
        below = {"data": next(iter(data))} if isinstance(data, dict) and len(data) == 1 else {}
        reference = evaluation.get("reference") if isinstance(evaluation, dict) else None
        for block in ("encoders", "latents", "baselines", "models", "sweeps"):
            if block == "sweeps" and isinstance(reference, dict):
                below |= {name: reference[name] for name in ("samples", "seeds") if name in reference}
            if isinstance(entries := values.get(block), dict):
                filled[block] = {key: below | each if isinstance(each, dict) else each for key, each in entries.items()}
        return filled

    @model_validator(mode="after")
    def _check(self) -> Suite:
        from ladd.config.relations import Relations  # it needs this class

        Relations(self).check()
        return self

    @property
    def written(self) -> Suite:
        """As params.yaml has it, without an entry for every replicate."""
        return self._written or self

    def model(self, key: str) -> SystemSettings:
        """The baseline or model of that name."""
        return self.baselines[key] if key in self.baselines else self.models[key]

    def inferences(self, model: str) -> dict[str, SweepConfig]:
        """The inference schedules that a model is sampled under, each with the first sweep that has it."""
        found: dict[str, SweepConfig] = {}
        for sweep in self.sweeps.values():
            # Given tokens change what is sampled, not what is likely.
            if sweep.model == model and sweep.given is None:
                found.setdefault(sweep.inference, sweep)
        return found

    def numbered_seeds(self, key: str) -> list[tuple[int, int]]:
        """The sampling seeds of a sweep, each with the number of the real set that its samples are compared with."""
        sweep = self.sweeps[key]
        all_seeds = self.evaluation_of(sweep.data).reference.seeds
        return [(all_seeds.index(seed), seed) for seed in sweep.seeds]

    def priors_of(self, latents: str | None) -> list[str]:
        """Keys of the priors of some latents."""
        return [key for key, prior in self.priors.items() if prior.latents == latents]

    def evaluation_of(self, data: str) -> EvaluationConfig:
        """How models of a data set are measured."""
        return self.evaluation[data] if isinstance(self.evaluation, dict) else self.evaluation

    def view_of(self, latents: str) -> tuple[str, str] | None:
        """Encoder and view behind latents, or None where they are learned."""
        name = self.codebooks[latents].latents if latents in self.codebooks else latents
        encoder, _, view = name.partition("/")
        return (encoder, view) if view else None

    def latent_shape(self, latents: str) -> LatentShape:
        """Shape of the latents of that name."""
        found = self.view_of(latents)
        if found is None:
            return self.latents[latents].shape
        encoder, view = found
        shape = self.encoders[encoder].views[view].shape
        return shape._replace(codebook=self.codebooks[latents].codebook) if latents in self.codebooks else shape


def load_suite(path: str | os.PathLike = "params.yaml") -> Suite:
    """Read and check a suite, with what it takes over (see `ladd.config.inherit`) and an entry for every replicate.

    Raises:
        ConfigError: naming the file, the key, the value and what is allowed.
    """
    path = Path(path)
    try:
        values = read_settings(path)
    except FileNotFoundError:
        raise ConfigError(f"{path.absolute()} does not exist; run from the folder of a suite") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    with suite_folder(path.parent):
        return suite_of(values, path)


def suite_of(values: Any, path: str | os.PathLike = "params.yaml") -> Suite:
    """The suite of such values, with an entry for every replicate; ``path`` is for messages. Raises ConfigError."""
    return replicated(check_suite(values, path))


# The values of a params.yaml as a suite, whether or not they are in a file yet: `checked` with what it raises.
check_suite = partial(checked, Suite)
