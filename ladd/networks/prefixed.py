"""A causal transformer that reads latents before its tokens: the decoder of LD4LG (Lovelace et al., 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladd.networks.causal import CausalTransformer
from ladd.networks.transformer import KeyValueCache


class PrefixedTransformer(CausalTransformer):
    """Predicts x_i from x_<i and L latents, which stand before the start symbol.

    Args:
        vocabulary: V.
        latents: L.
        latent_width: w.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, latents: int, latent_width: int, **network):
        super().__init__(vocabulary, **network)
        self.latents = latents
        self.read = nn.Linear(latent_width, network["width"])

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, start: int = 0, z: Tensor | None = None) -> Tensor:
        """Hidden states (B, S, d) of inputs x int64 (B, S) at positions start, start + 1, ...

        The latents z (B, L, w) are given with start = 0, and behind a cache once; with no tokens (B, 0) they fill it.
        """
        rows, first = self.embedding(x), start + self.latents
        if z is not None:
            rows, first = torch.cat([self.read(z), rows], dim=1), start
        positions = torch.arange(first, first + rows.shape[1], device=x.device, dtype=torch.float32)
        condition = self.embedding.weight.new_zeros(1, self.condition)
        hidden: Tensor = self.transformer([rows], [condition], [positions], cache)[0]
        return hidden[:, hidden.shape[1] - x.shape[1] :]
