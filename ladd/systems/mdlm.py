"""Masked diffusion without latents (MDLM; Sahoo et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field
from torch import Tensor

from ladd.config.blocks import TokenChannelConfig
from ladd.config.evaluation import SweepConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import token_loss
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import draw_channel_times
from ladd.evaluation.bounds import BoundSettings, LossByTime, loss_by_time
from ladd.networks import DiT
from ladd.systems.tokens import TokenDiffusion


class MdlmSettings(SystemSettings):
    """A masked diffusion model of tokens."""

    family: Literal["mdlm"]
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)


class Mdlm(TokenDiffusion):
    """A DiT that fills masks."""

    name = "mdlm"
    Settings = MdlmSettings
    label, colour, place = "MDLM", "#D55E00", 1
    meaning = "masked diffusion over tokens alone, without latents"
    citation = """
@inproceedings{sahoo2024mdlm,
  title = {Simple and Effective Masked Diffusion Language Models},
  author = {Sahoo, Subham Sekhar and others},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024},
  note = {arXiv:2406.07524},
}
"""
    comparator = True

    def token_process(self) -> MaskedProcess:
        return MaskedProcess(DISCRETE_SCHEDULES[self.settings.token_channel.schedule], self.vocabulary)

    def losses_by_time(
        self, model: DiT, x: Tensor, settings: BoundSettings, sweep: SweepConfig
    ) -> Iterator[tuple[str, LossByTime]]:
        def plain(rows: Tensor, noise: SampleNoise, draw: int) -> tuple[Tensor, Tensor]:
            loss = token_loss(self.process, model, x[rows], noise, draw, weight="constant")
            return loss, draw_channel_times(noise, draw, "clean").token.t

        assert isinstance(self.process, MaskedProcess)
        yield "", loss_by_time(self.process, x, settings, plain)
