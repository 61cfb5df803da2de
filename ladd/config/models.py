"""Trained models: what all have in common, and the class of each by its ``family``, the name of a system."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, ClassVar

from pydantic import SerializeAsAny, WrapValidator

from ladd.config.blocks import Block, Key, NetworkConfig, TrainingConfig
from ladd.config.named import by_name


class SystemSettings(Block):
    """Settings of a model of any system; each system has a subclass of its own.

    Attributes:
        system: class that they are of.
    """

    system: ClassVar[Any]

    family: str
    data: Key
    network: NetworkConfig
    training: TrainingConfig

    @property
    def latents_name(self) -> str | None:
        """Of the latents that the model is trained on; None without latents."""
        return None


def _of_system(values: Any, _: Any) -> SystemSettings:
    if isinstance(values, SystemSettings):
        return values
    base = import_module("ladd.systems.base").System  # it is above settings
    return by_name("ladd.systems", base, "family", values).Settings.model_validate(values)


SystemConfig = Annotated[SerializeAsAny[SystemSettings], WrapValidator(_of_system)]
