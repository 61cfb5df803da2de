"""Uniform diffusion without latents: MDLM's sibling whose noise is a random token in place of a mask."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ladd.config.blocks import TokenChannelConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.uniform import UniformProcess
from ladd.systems.base import Passes, SampleCost, backbone_macs
from ladd.systems.tokens import TokenDiffusion


class MdlmUniformSettings(SystemSettings):
    """A uniform diffusion model of tokens."""

    family: Literal["mdlm-uniform"]
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)

    @model_validator(mode="after")
    def _check(self) -> MdlmUniformSettings:
        if not self.token_channel.timed:
            raise ValueError("token_channel.timed must be true: noisy tokens do not tell the time, as masks do")
        if self.token_channel.weight != "elbo":
            raise ValueError(f"token_channel.weight {self.token_channel.weight!r} must be 'elbo'")
        return self


class MdlmUniform(TokenDiffusion):
    """A DiT that is told the time and replaces tokens by others."""

    name = "mdlm-uniform"
    Settings = MdlmUniformSettings
    label, colour, place = "MDLM-uniform", "#E69F00", 2
    noise: ClassVar[str] = "UniformProcess"
    meaning = "diffusion over tokens alone that replaces them by random ones in place of masks"
    citation = """
@inproceedings{sahoo2025duo,
  title = {The Diffusion Duality},
  author = {Sahoo, Subham Sekhar and others},
  booktitle = {International Conference on Machine Learning},
  year = {2025},
  note = {arXiv:2506.10892},
}
"""

    def token_process(self) -> UniformProcess:
        return UniformProcess(DISCRETE_SCHEDULES[self.settings.token_channel.schedule], self.vocabulary)

    def cost(self, passes: Passes) -> SampleCost:
        """Every pass predicts all tokens anew, so the head runs at every position in each."""
        network, count = self.settings.network, passes.token_passes
        macs = count * backbone_macs(self.tokens, network.width, network.layers)
        return SampleCost.of(count, macs, count * self.tokens * network.width * self.vocabulary)
