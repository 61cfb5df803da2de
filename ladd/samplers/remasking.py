"""What samplers share that mask revealed tokens again (Wang et al., 2025, "ReMDM", Eqs. for q(z_s | z_t, x)).

In a step t -> s a revealed token is masked again with probability sigma, and a masked one is revealed with probability
(alpha_s - (1 - sigma) alpha_t) / (1 - alpha_t). The share that is revealed stays alpha: of alpha_t, 1 - sigma are kept,
and of 1 - alpha_t come alpha_s - (1 - sigma) alpha_t. sigma is at most min(1, (1 - alpha_s) / alpha_t).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State
from ladd.samplers.tokens import TokenSampler


@dataclass(frozen=True, kw_only=True)
class Remasking(TokenSampler):
    """Subclasses say what sigma is."""

    citation: ClassVar[str] = """
@misc{wang2025remasking,
  title = {Remasking Discrete Diffusion Models with Inference-Time Scaling},
  author = {Wang, Guanghan and Schiff, Yair and Sahoo, Subham Sekhar and Kuleshov, Volodymyr},
  year = {2025},
  note = {arXiv:2503.00307},
}
"""

    remasks: ClassVar[bool] = True

    @abstractmethod
    def sigma(self, state: State, step: Step) -> Tensor:
        """A scalar; what is above the largest possible is cut."""

    def largest(self, step: Step) -> Tensor:
        """The largest sigma."""
        kept, shown = self.alphas(step)
        return ((1 - shown) / kept.clamp(min=1e-300)).clamp(max=1.0)  # at t = 1 and s = 0 it would be 0 / 0

    def of_masked(self, state: State, step: Step) -> Tensor:
        """The sigma that masked positions are revealed by."""
        return self.sigma(state, step).minimum(self.largest(step))

    def of_revealed(self, state: State, step: Step) -> Tensor:
        """That of revealed positions, a scalar or (B, N)."""
        return self.of_masked(state, step)

    def wanted(self, state: State, step: Step) -> Tensor:
        kept, shown = self.alphas(step)
        probability = (shown - (1 - self.of_masked(state, step)) * kept) / (1 - kept)
        uniform = self.draws(state, step).uniform("reveal", state.tokens.shape[1])
        # At s = 0 all are revealed, whatever rounding makes of the quotient.
        return self.masked(state) & ((uniform < probability) | (step.s <= 0))

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        # A position may be drawn several times, each time from a number of its own.
        uniform = self.draws(state, step).uniform("", wanted.shape[1])
        tokens = self.filled(state, wanted, prediction, uniform)
        return replace(state, tokens=torch.where(self.again(state, step), self.process.mask_id, tokens))

    def again(self, state: State, step: Step) -> Tensor:
        """Revealed positions, bool (B, N), that are masked again; given tokens never are."""
        uniform = self.draws(state, step).uniform("remask", state.tokens.shape[1])
        return ~self.masked(state) & state.free & (uniform < self.of_revealed(state, step))
