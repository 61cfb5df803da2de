"""Leave-one-out Gibbs corrector of the uniform process (Gourevitch et al., 2026, arXiv 2605.22765).

The prediction of the uniform process is what the others say of a token, p(x_0^l | x_s without x_s^l), so that
p(x_s^l | the others) = alpha_s p + (1 - alpha_s) / V. Drawing one position from it, chosen without looking, leaves the
law of x_s as it is; several at a time, or those of the lowest margin, do so only roughly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ladd.diffusion.process import Prediction, Process, Step
from ladd.diffusion.uniform import UniformProcess
from ladd.samplers.base import State
from ladd.samplers.corrector import Corrector
from ladd.samplers.drawing import log_margin


@dataclass(frozen=True, kw_only=True)
class LooGibbs(Corrector):
    """A position is scored by how far its token leads before all others; its predictor is ancestral."""

    citation: ClassVar[str] = """
@misc{gourevitch2026uniform,
  title = {Uniform Diffusion Models Revisited: Leave-One-Out Denoiser and Absorbing State Reformulation},
  author = {Gourevitch, Samson and Janati, Yazid and Shariatian, Dario and others},
  year = {2026},
  note = {arXiv:2605.22765},
}
"""
    name: ClassVar[str] = "loo-gibbs"
    processes: ClassVar[tuple[type[Process], ...]] = (UniformProcess,)

    def candidates(self, state: State) -> Tensor:
        return state.free

    def drawn_anew(
        self, state: State, step: Step, where: Tensor, prediction: Prediction, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        kept = self.alphas(step)[1]

        def law(log_p: Tensor, _: Tensor) -> Tensor:
            return (kept * log_p.exp() + (1 - kept) / self.process.vocabulary).log()

        return self.scored(state, where, prediction, uniform, lambda log_p, x, _: log_margin(log_p, x), law=law)

    def predicted(self, state: State, step: Step) -> Tensor:
        return state.free

    def predict(self, state: State, step: Step, wanted: Tensor, prediction: Prediction) -> State:
        uniform = self.draws(state, step).uniform("", wanted.shape[1])

        def law(log_p: Tensor, x: Tensor) -> Tensor:
            return self.process.posterior(log_p.exp(), x, step).log()

        drawn = self.scored(state, wanted, prediction, uniform, law=law)
        return replace(state, tokens=state.tokens.masked_scatter(wanted, drawn.tokens))
