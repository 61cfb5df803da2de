"""LADD whose tokens are noised by random tokens in place of masks (paper, Remark 3.1).

Latents, networks, schedules and losses of latents stay; the token prediction is conditioned on latents as it is under
masks. Stage 1 stays under masks: what a model starts with are the encoder and weights that know the latents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.process import Noised, Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import TimeDraw
from ladd.diffusion.uniform import UniformProcess
from ladd.evaluation.bounds import BoundSettings, LossByTime
from ladd.systems.base import Passes, SampleCost, Surroundings
from ladd.systems.co_ladd import CoLadd, CoLaddSettings
from ladd.systems.di_ladd import DiLadd, DiLaddSettings
from ladd.systems.ladd import Ladd, LaddModel, LaddSettings


class PairedUniform(UniformProcess):
    """The uniform process beside a stream of latents."""

    def loss(self, prediction: Prediction, clean: Tensor, noised: Noised, times: TimeDraw, weight: str) -> Tensor:
        """As `UniformProcess.loss`; sequences of weight 0 are there for the latents, at a t_x where the rate is
        infinite."""
        rows = times.weight > 0
        if rows.all():
            return super().loss(prediction, clean, noised, times, weight)
        loss = times.weight.new_zeros(len(clean))
        if rows.any():
            chosen = Prediction(prediction.hidden[rows], prediction.head)
            of_rows = TimeDraw(times.t[rows], times.weight[rows])
            loss[rows] = super().loss(chosen, clean[rows], Noised(noised.state[rows]), of_rows, weight)
        return loss


def check_channel(settings: LaddSettings) -> None:
    """Refuse what the uniform process has not.

    Raises:
        ValueError: a setting of the token channel.
    """
    if not settings.token_channel.timed:
        raise ValueError("token_channel.timed must be true: noisy tokens do not tell the time, as masks do")
    if settings.token_channel.weight != "elbo":
        raise ValueError(f"token_channel.weight {settings.token_channel.weight!r} must be 'elbo'")


class UniformTokens(Ladd):
    """What both have in common; a base class before that of the latents."""

    noise: ClassVar[str] = "UniformProcess"

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        schedule = DISCRETE_SCHEDULES[settings.token_channel.schedule]
        self.process = PairedUniform(schedule, self.vocabulary)  # type: ignore[assignment]

    @torch.no_grad()
    def losses_by_time(
        self, model: LaddModel, x: Tensor, settings: BoundSettings, sweep: SweepConfig
    ) -> Iterator[tuple[str, LossByTime]]:
        """None: they are those of masked tokens."""
        yield from ()

    def cost(self, passes: Passes) -> SampleCost:
        """Every pass predicts all tokens anew, so their head runs at every position in each."""
        nfe, gmacs, gflops = super().cost(passes)
        head = self.tokens * self.settings.network.width * self.vocabulary
        return SampleCost(nfe, gmacs, gflops + 2 * (passes.token_passes - 1) * head / 1e9)


class CoLaddUniformSettings(CoLaddSettings):
    """A model on vectors."""

    family: Literal["co-ladd-uniform"]  # type: ignore[assignment]

    @model_validator(mode="after")
    def _check_uniform(self) -> CoLaddUniformSettings:
        check_channel(self)
        return self


class CoLaddUniform(UniformTokens, CoLadd):
    """Co-LADD on uniform diffusion."""

    name = "co-ladd-uniform"
    Settings = CoLaddUniformSettings  # type: ignore[assignment]
    label, colour, place = "Co-LADD-uniform", "#117733", 32
    meaning = "uniform diffusion over tokens, and Gaussian diffusion over a short sequence of latents"

    @classmethod
    def title(cls, key: str) -> str:
        return cls.label


class DiLaddUniformSettings(DiLaddSettings):
    """A model on the codes of a codebook."""

    family: Literal["di-ladd-uniform"]  # type: ignore[assignment]

    @model_validator(mode="after")
    def _check_uniform(self) -> DiLaddUniformSettings:
        check_channel(self)
        return self


class DiLaddUniform(UniformTokens, DiLadd):
    """Di-LADD on uniform diffusion; codes are masked as before."""

    name = "di-ladd-uniform"
    Settings = DiLaddUniformSettings  # type: ignore[assignment]
    label, colour, place = "Di-LADD-uniform", "#332288", 33
    meaning = "uniform diffusion over tokens, and masked diffusion over a short sequence of codes"
