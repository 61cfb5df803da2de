"""Backbones. Networks return hidden states; heads are applied by the caller to the positions that it needs."""

from ladd.networks.causal import CausalTransformer
from ladd.networks.dit import DiT, Encoder
from ladd.networks.mmdit import MMDiT

__all__ = ["CausalTransformer", "DiT", "Encoder", "MMDiT"]
