"""What a sample cost: every network pass, at the size of the network that made it."""

from __future__ import annotations

from typing import NamedTuple


class SampleCost(NamedTuple):
    """Averages over samples."""

    nfe: float  # network passes, latent-only ones included
    gmacs: float  # 10^9 multiply-adds of the backbones
    gflops: float  # 10^9 floating-point operations, two per multiply-add, of backbones and heads

    @classmethod
    def of(cls, passes: float, backbones: float, heads: float) -> SampleCost:
        """From passes, and multiply-adds of backbones and heads."""
        return cls(passes, backbones / 1e9, 2 * (backbones + heads) / 1e9)


class Passes(NamedTuple):
    """Mean network passes per sample."""

    token_passes: float  # of the network that holds the token stream
    latent_passes: float  # of a network of the latents alone


def backbone_macs(length: int, width: int, layers: int) -> int:
    """Multiply-adds of one forward pass of the transformer blocks: layers (12 S d^2 + 2 S^2 d) (paper, Eq. 77).

    The paper's tables count these as its "GFLOPs". Norms, conditioning, embeddings and heads are left out.

    Args:
        length: S, positions of all streams together: N, or N + L.
        width: d.
        layers: number of blocks.
    """
    return layers * (12 * length * width**2 + 2 * length**2 * width)
