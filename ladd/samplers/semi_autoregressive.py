"""Semi-autoregressive order: blocks from left to right, within a block the surest positions first (LLaDA, Nie et al.).

The network is the same, with full attention, and only the order changes: that is no block diffusion, whose network is
trained block by block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ladd.config.blocks import Count
from ladd.samplers.order import Ordered, OrderOptions
from ladd.samplers.tokens import TokenOptions


class SemiAutoregressiveOptions(OrderOptions):
    block: Count = 32  # positions


@dataclass(frozen=True, kw_only=True)
class SemiAutoregressive(Ordered):
    """No position of a block comes before all of the block before it are there.

    A step of more tokens than a block has left takes the others from the next one. Blocks of one position go from left
    to right; with one block of N it is `surest-first`.
    """

    citation: ClassVar[str] = """
@misc{nie2025large,
  title = {Large Language Diffusion Models},
  author = {Nie, Shen and Zhu, Fengqi and You, Zebin and Zhang, Xiaolu and Ou, Jingyang and Hu, Jun and
    Zhou, Jun and Lin, Yankai and Wen, Ji-Rong and Li, Chongxuan},
  year = {2025},
  note = {arXiv:2502.09992},
}
"""
    name: ClassVar[str] = "semi-autoregressive"
    Options: ClassVar[type[TokenOptions]] = SemiAutoregressiveOptions
    block: int

    def places(self, scores: Tensor) -> Tensor:
        positions = scores.shape[1]
        block = (torch.arange(positions, device=scores.device) // self.block).expand_as(scores)
        block = block.masked_fill(scores.isneginf(), positions)
        surest = scores.argsort(dim=1, descending=True, stable=True)
        order = surest.gather(1, block.gather(1, surest).argsort(dim=1, stable=True))
        return order.argsort(dim=1)
