"""Informed correctors: after a step, the least likely tokens are drawn anew (Zhao et al., 2024).

A position l is scored by log p(x^l | the others), less Gumbel noise, and drawn from that law. The network must say of a
revealed token what the others say of it: a hollow one does, a plain one was not trained to. One position at a time,
chosen at random, is Gibbs sampling, which leaves the law of x_s as it is; informed choices and several at a time do so
only roughly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State
from ladd.samplers.corrector import Corrector
from ladd.samplers.drawing import log_probability


@dataclass(frozen=True, kw_only=True)
class InformedCorrector(Corrector):
    """For masked processes; its predictor is ancestral."""

    citation: ClassVar[str] = """
@misc{zhao2024informed,
  title = {Informed Correctors for Discrete Diffusion Models},
  author = {Zhao, Yixiu and Shi, Jiaxin and Chen, Feng and Druckmann, Shaul and Mackey, Lester and Linderman, Scott},
  year = {2024},
  note = {arXiv:2407.21243},
}
"""
    name: ClassVar[str] = "informed-corrector"

    def candidates(self, state: State) -> Tensor:
        return ~self.masked(state) & state.free

    def drawn_anew(
        self, state: State, step: Step, where: Tensor, prediction: Prediction, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.scored(state, where, prediction, uniform, lambda log_p, x, _: log_probability(log_p, x))

    def predicted(self, state: State, step: Step) -> Tensor:
        return self.process.wanted(state.tokens, step, self.draws(state, step)) & state.free

    def predict(self, state: State, step: Step, wanted: Tensor, prediction: Prediction) -> State:
        uniform = self.draws(state, step).uniform("", wanted.shape[1])
        return replace(state, tokens=self.filled(state, wanted, prediction, uniform))
