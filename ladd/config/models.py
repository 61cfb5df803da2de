"""Trained models: what all have in common, and the class of each by its ``family``, the name of a system."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import SerializeAsAny, WrapValidator

from ladd.config.blocks import Block, Key, NetworkConfig, TrainingConfig, named


class SystemSettings(Block):
    """Settings of a model of any system; each system has a subclass of its own."""

    system: ClassVar[Any]

    family: str
    data: Key
    network: NetworkConfig
    training: TrainingConfig

    @property
    def latents_name(self) -> str | None:
        """Of the latents that the model is trained on; None without latents."""
        return None


SystemConfig = Annotated[SerializeAsAny[SystemSettings], WrapValidator(named("System", "family"))]
