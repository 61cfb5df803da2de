"""Two-stream network over tokens and latents (paper, Appendix D; Esser et al., 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladd.networks.transformer import TimeEmbedding, Transformer


class MMDiT(nn.Module):
    """Token and latent denoiser in one.

    Args:
        vocabulary: V, the mask excluded; the mask id is V.
        latent_width: w, of the latent vectors that go in.
        latent_outputs: size of the latent head: w (Co-LADD, prediction of z_0) or K (Di-LADD, code logits).
        timed: whether the token stream is told t_x. The latent stream is always told t_z.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, *, latent_width: int, latent_outputs: int, timed: bool = False, **network):
        super().__init__()
        width, self.condition = network["width"], network["condition"]
        self.embedding = nn.Embedding(vocabulary + 1, width)
        self.latent_embedding = nn.Linear(latent_width, width)
        self.latent_mask = nn.Parameter(torch.randn(latent_width) * latent_width**-0.5)
        self.time = TimeEmbedding(self.condition) if timed else None
        self.latent_time = TimeEmbedding(self.condition)
        self.transformer = Transformer(2, **network)
        self.token_head = nn.Linear(width, vocabulary)
        self.latent_head = nn.Linear(width, latent_outputs)

    def forward(
        self, x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor, z_masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states of both streams; apply `token_head` and `latent_head` where needed.

        Args:
            x: int64 (B, N), tokens, V where masked; (1, N) where all samples share them.
            z: (B, L, w), noisy latents (Co-LADD) or code vectors (Di-LADD).
            t_x, t_z: (B,), times of the channels; one for each row of x, and of z.
            z_masked: bool (B, L), codes that are masked; a learned vector takes their place.
        Returns:
            (B, N, d) and (B, L, d).
        """
        if z_masked is not None:
            z = torch.where(z_masked[..., None], self.latent_mask, z)
        condition = self.time(t_x) if self.time else z.new_zeros(1, self.condition)
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        # Latent l stands at the centre of the chunk of tokens that it may summarise; L = N aligns the two.
        stride = x.shape[1] / z.shape[1]
        latent_positions = (torch.arange(z.shape[1], device=x.device, dtype=torch.float32) + 0.5) * stride - 0.5
        hidden, latent_hidden = self.transformer(
            [self.embedding(x), self.latent_embedding(z)],
            [condition, self.latent_time(t_z)],
            [positions, latent_positions],
        )
        return hidden, latent_hidden
