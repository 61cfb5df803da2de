"""A whole params.yaml, read and checked before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import SerializeAsAny, TypeAdapter, WrapValidator, model_validator

from ladd.config.blocks import Block, ComputeConfig, Key, Seed, Text
from ladd.config.data import DataConfig
from ladd.config.evaluation import EvaluationConfig, Sweep
from ladd.config.latents import CodebookConfig, EncoderConfig, LatentsConfig, LatentShape
from ladd.config.messages import checked
from ladd.config.models import SystemConfig, SystemSettings
from ladd.config.named import named
from ladd.errors import ConfigError
from ladd.registry import suite_folder
from ladd.yaml_files import read_yaml

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
    compute: ComputeConfig
    data: dict[Key, Annotated[SerializeAsAny[DataConfig], WrapValidator(named("Task", "kind"))]]
    encoders: dict[Key, EncoderConfig]
    latents: dict[Key, LatentsConfig]
    codebooks: dict[Key, CodebookConfig]
    baselines: dict[Key, SystemConfig]  # systems without latents
    models: dict[Key, SystemConfig]
    sweeps: dict[Key, Sweep]
    # Of all data sets, or of each by its key.
    evaluation: Annotated[Evaluation | dict[Key, Evaluation], WrapValidator(_one_or_each)]

    @model_validator(mode="after")
    def _check(self) -> Suite:
        from ladd.config.relations import Relations  # it needs this class

        Relations(self).check()
        return self

    def model(self, key: str) -> SystemSettings:
        """The baseline or model of that name."""
        return self.baselines[key] if key in self.baselines else self.models[key]

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
    """Read and check a suite.

    Raises:
        ConfigError: naming the file, the key, the value and what is allowed.
    """
    path = Path(path)
    try:
        values = read_yaml(path)
    except FileNotFoundError:
        raise ConfigError(f"{path.absolute()} does not exist; run from the folder of a suite") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    with suite_folder(path.parent):
        return check_suite(values, path)


def check_suite(values: Any, name: object) -> Suite:
    """Check the values of a params.yaml, whether or not they are in a file yet.

    Args:
        values: as YAML gives them.
        name: of the file or whatever else holds them, for the message.
    Raises:
        ConfigError: naming the key, the value and what is allowed, in the lines after the first.
    """
    return checked(Suite, values, name)
