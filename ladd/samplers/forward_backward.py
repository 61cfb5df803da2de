"""Forward-backward correctors: tokens go both ways in a step, more of them towards the data.

Of the revealed, b (alpha_s - alpha_t) / alpha_t are masked again, and of the masked (1 + b)(alpha_s - alpha_t) /
(1 - alpha_t) revealed, which is remasking by sigma = b (alpha_s - alpha_t) / alpha_t (Campbell et al., 2022; Gat et
al., 2024, "Discrete flow matching"; both as Wang et al., 2025, write them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ladd.config.blocks import Weight
from ladd.diffusion.process import Step
from ladd.samplers.base import State
from ladd.samplers.remasking import Remasking
from ladd.samplers.tokens import TokenOptions


class ForwardBackwardOptions(TokenOptions):
    strength: Weight = 1.0  # b


class FlowCorrectorOptions(TokenOptions):
    strength: Weight = 10.0  # b = strength (t (1 - t))^(1/4)


@dataclass(frozen=True, kw_only=True)
class ForwardBackward(Remasking):
    """b is the same at all times."""

    citation: ClassVar[str] = """
@inproceedings{campbell2022continuous,
  title = {A Continuous Time Framework for Discrete Denoising Models},
  author = {Campbell, Andrew and Benton, Joe and De Bortoli, Valentin and Rainforth, Tom and
    Deligiannidis, George and Doucet, Arnaud},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
  note = {arXiv:2205.14987},
}
"""
    name: ClassVar[str] = "forward-backward"
    Options: ClassVar[type[TokenOptions]] = ForwardBackwardOptions
    strength: float

    def sigma(self, state: State, step: Step) -> Tensor:
        kept, shown = self.alphas(step)
        # While all is masked there is nothing to mask again; 0 / 0 would be NaN.
        return self.backward(step) * (shown - kept) / kept.clamp(min=1e-300)

    def backward(self, step: Step) -> Tensor:
        """b."""
        return step.t.new_tensor(self.strength)


@dataclass(frozen=True, kw_only=True)
class FlowCorrector(ForwardBackward):
    """b is largest half-way, and 0 at both ends."""

    citation: ClassVar[str] = """
@inproceedings{gat2024discrete,
  title = {Discrete Flow Matching},
  author = {Gat, Itai and Remez, Tal and Shaul, Neta and Kreuk, Felix and Chen, Ricky T. Q. and
    Synnaeve, Gabriel and Adi, Yossi and Lipman, Yaron},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024},
  note = {arXiv:2407.15595},
}
"""
    name: ClassVar[str] = "flow-corrector"
    Options: ClassVar[type[TokenOptions]] = FlowCorrectorOptions

    def backward(self, step: Step) -> Tensor:
        return self.strength * (step.t * (1 - step.t)) ** 0.25
