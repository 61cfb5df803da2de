"""Autoregressive baseline: a causal transformer of the same width and depth (method of comparison only)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladd.networks.transformer import KeyValueCache, Transformer


class CausalTransformer(nn.Module):
    """Predicts x_i from x_<i. The input is the sequence shifted right behind a start symbol (id V).

    Args:
        vocabulary: V.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, **network):
        super().__init__()
        width, self.condition = network["width"], network["condition"]
        self.embedding = nn.Embedding(vocabulary + 1, width)
        self.transformer = Transformer(1, causal=True, **network)
        self.token_head = nn.Linear(width, vocabulary)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, start: int = 0) -> Tensor:
        """Hidden states (B, S, d) of inputs x int64 (B, S) at positions start, start + 1, ..."""
        positions = torch.arange(start, start + x.shape[1], device=x.device, dtype=torch.float32)
        condition = self.embedding.weight.new_zeros(1, self.condition)
        return self.transformer([self.embedding(x)], [condition], [positions], cache)[0]
