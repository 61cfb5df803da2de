"""Single-stream networks: token denoiser, latent encoder (paper, Appendix D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladd.networks.transformer import TimeEmbedding, Transformer


class DiT(nn.Module):
    """Bidirectional transformer over tokens: the MDLM denoiser, and the trunk of the learned encoder.

    Args:
        vocabulary: V, the mask excluded; the mask id is V.
        timed: whether the network is told t. A time-free denoiser is enough for masked diffusion, because
            the number of masks already tells the time.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, *, timed: bool = False, **network):
        super().__init__()
        width, self.condition = network["width"], network["condition"]
        self.embedding = nn.Embedding(vocabulary + 1, width)
        self.time = TimeEmbedding(self.condition) if timed else None
        self.transformer = Transformer(1, **network)
        self.token_head: nn.Module = nn.Linear(width, vocabulary)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Hidden states (B, N, d) of tokens x int64 (B, N) at times t (B,); apply `token_head` where needed."""
        condition = self.time(t) if self.time else self.embedding.weight.new_zeros(1, self.condition)
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        return self.transformer([self.embedding(x)], [condition], [positions])[0]


class Encoder(nn.Module):
    """Clean tokens to latents: the last L hidden states of a DiT, projected to width w.

    Args:
        vocabulary: V.
        length: L, at most N.
        latent_width: w.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, *, length: int, latent_width: int, **network):
        super().__init__()
        self.length = length
        self.trunk = DiT(vocabulary, **network)
        self.trunk.token_head = nn.Identity()
        self.projection = nn.Linear(network["width"], latent_width)

    def forward(self, x: Tensor) -> Tensor:
        """x int64 (B, N) -> (B, L, w)."""
        return self.projection(self.trunk(x, x.new_zeros(len(x)))[:, -self.length :])
