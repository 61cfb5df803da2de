"""Cost of forward passes (paper, Appendix E, Eq. 77)."""

from __future__ import annotations


def backbone_macs(length: int, width: int, layers: int) -> int:
    """Multiply-adds of one forward pass of the transformer blocks: layers (12 S d^2 + 2 S^2 d).

    The paper's tables count these as its "GFLOPs". Norms, conditioning, embeddings and heads are left out.

    Args:
        length: S, positions of all streams together: N, or N + L.
        width: d.
        layers: number of blocks.
    """
    return layers * (12 * length * width**2 + 2 * length**2 * width)
