"""The interface of a token denoiser."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class TokenDenoiser(Protocol):
    """What the token channel needs of a network, or of an exact reference."""

    @property
    def token_head(self) -> nn.Module:
        """(M, d) -> logits (M, V)."""
        ...

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Hidden states (B, N, d) of x int64 (B, N), V where masked, at times t (B,)."""
        ...
