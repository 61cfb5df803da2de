"""Sequential schedule with a distilled prior: few passes for the latents (Song et al., 2023, Algorithm 1).

A distilled prior predicts clean latents, as its teacher's path ends there, and not their mean. So each pass gives a
sample; the next one starts from that sample under fresh noise, and may mend what the pass before got wrong. With an
exact student the law of the latents is the same after any number of passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import DrawSettings, Prediction, Step
from ladd.samplers.sequential import Sequential
from ladd.samplers.sources import Stream


class Renoised(GaussianProcess):
    """Gaussian diffusion whose reverse step noises the prediction anew."""

    def reverse(
        self,
        state: Tensor,
        wanted: Tensor,
        prediction: Prediction,
        step: Step,
        noise: StreamNoise,
        settings: DrawSettings,
    ) -> Tensor:
        rows, state = prediction.rows, state.clone()
        assert rows is not None
        z = prediction.head(prediction.hidden)
        if step.s > 0:
            drawn = noise.select(rows).normal("", *state.shape[1:])
            z = self.schedule.signal(step.s) * z + self.schedule.noise(step.s) * drawn
        state[rows] = z.to(state.dtype)
        return state


@dataclass(frozen=True, kw_only=True)
class SequentialRenoised(Sequential):
    """As `sequential`, of a distilled prior.

    Attributes:
        latent_steps: T_z, passes of the prior.
        distilled: sweeps must name a prior with a teacher.
    """

    name: ClassVar[str] = "sequential-renoised"
    meaning: ClassVar[str] = "the latents are drawn first, in few passes of a distilled prior, then the tokens"
    citation: ClassVar[str] = """
@inproceedings{song2023consistency,
  title = {Consistency Models},
  author = {Song, Yang and Dhariwal, Prafulla and Chen, Mark and Sutskever, Ilya},
  booktitle = {International Conference on Machine Learning},
  year = {2023},
  note = {arXiv:2303.01469},
}
"""
    line: ClassVar[Any] = (0, (1, 1.5))
    markers: ClassVar[str] = "P*Xhpd"
    distilled: ClassVar[bool] = True

    @classmethod
    def check(cls, sweep: SweepConfig) -> None:
        super().check(sweep)
        if sweep.prior is None:
            raise ValueError(f"prior: null; schedule {sweep.schedule!r} draws vectors by a distilled prior")
        if sweep.eta:
            raise ValueError(f"eta: {sweep.eta}; schedule {sweep.schedule!r} noises anew in every step, write 0")

    @property
    def _latents(self) -> Stream:
        stream = super()._latents
        return replace(stream, process=Renoised(stream.process.schedule))  # type: ignore[attr-defined]
