"""Psi samplers: a reverse step, or the forward process from a draw of the clean tokens (Deschenaux et al., 2026).

The law of x_s is kappa q(x_s | x_t, p) + (1 - kappa) q(x_s | x_0) with x_0 drawn from what p and x_t say of it.
kappa = 1 is ancestral sampling, kappa = 0 noises a prediction anew in every step. Under masks it is remasking by
sigma = (1 - kappa)(1 - alpha_s).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ladd.config.blocks import Fraction, Range
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.process import Prediction, Process, Step
from ladd.diffusion.uniform import UniformProcess
from ladd.samplers.base import State
from ladd.samplers.remasking import Remasking
from ladd.samplers.tokens import TokenOptions


class PsiOptions(TokenOptions):
    kappa: Fraction = 0.9
    between: Range = Field(default=[0.0, 1.0])  # times t with that kappa; it is 1 at all others

    @model_validator(mode="after")
    def _check_between(self) -> PsiOptions:
        if self.between[0] > self.between[1]:
            raise ValueError(f"between {self.between} must be [low, high] with low <= high")
        return self


@dataclass(frozen=True, kw_only=True)
class Psi(Remasking):
    """For masked and uniform processes."""

    citation: ClassVar[str] = """
@inproceedings{deschenaux2026diffusion,
  title = {The Diffusion Duality, Chapter {II}: {$\\Psi$}-Samplers and Efficient Curriculum},
  author = {Deschenaux, Justin and Gulcehre, Caglar and Sahoo, Subham Sekhar},
  booktitle = {International Conference on Learning Representations},
  year = {2026},
  note = {arXiv:2602.21185},
}
"""
    name: ClassVar[str] = "psi"
    Options: ClassVar[type[TokenOptions]] = PsiOptions
    processes: ClassVar[tuple[type[Process], ...]] = (MaskedProcess, UniformProcess)
    kappa: float
    between: list[float]

    def kappa_at(self, step: Step) -> Tensor:
        """kappa of a step."""
        low, high = self.between
        return torch.where((low <= step.t) & (step.t <= high), self.kappa, torch.ones_like(step.t))

    def sigma(self, state: State, step: Step) -> Tensor:
        return (1 - self.kappa_at(step)) * (1 - self.alphas(step)[1])

    def wanted(self, state: State, step: Step) -> Tensor:
        return state.free if isinstance(self.process, UniformProcess) else super().wanted(state, step)

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        if not isinstance(self.process, UniformProcess):
            return super().move(state, step, wanted, prediction)
        if prediction is None:
            return state
        process, uniform = self.process, self.draws(state, step).uniform("", wanted.shape[1])
        kappa, shown = self.kappa_at(step), self.alphas(step)[1]

        def law(log_p: Tensor, x: Tensor) -> Tensor:
            p = log_p.exp()
            clean = process.posterior(p, x, replace(step, s=torch.zeros_like(step.s)))
            anew = shown * clean + (1 - shown) / process.vocabulary
            return (kappa * process.posterior(p, x, step) + (1 - kappa) * anew).log()

        drawn = self.scored(state, wanted, prediction, uniform, law=law)
        return replace(state, tokens=state.tokens.masked_scatter(wanted, drawn.tokens))
