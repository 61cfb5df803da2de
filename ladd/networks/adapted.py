"""A token denoiser that reads latents by cross-attention, which changes nothing until it is trained.

So a DiT that was trained without latents can go on with them (DiLaDiff; Lemercier et al., 2026).
Shapes: B batch, N tokens, L latents, d hidden width, H heads, C conditioning width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from ladd.networks.dit import DiT
from ladd.networks.transformer import FinalNorm, TimeEmbedding, rotary_embedding, rotate, zero_linear

Rotary = tuple[Tensor, Tensor]


class CrossAttention(nn.Module):
    """A residual update of tokens by latents; its output starts at zero."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.width, self.heads = width, heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.output = zero_linear(width, width)

    def forward(self, h: Tensor, memory: Tensor, at_tokens: Rotary, at_latents: Rotary) -> Tensor:
        """Tokens h (B or 1, N, d) given latents (B or 1, L, d) -> (B, N, d)."""
        batch = max(len(h), len(memory))
        q = rotate(self._heads(self.query(F.layer_norm(h, (self.width,)))), at_tokens)
        k, v = self.key_value(memory).chunk(2, dim=-1)
        k, v = rotate(self._heads(k), at_latents), self._heads(v)
        q, k, v = (each.expand(batch, -1, -1, -1) for each in (q, k, v))
        return h + self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def _heads(self, h: Tensor) -> Tensor:
        return h.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class AdaptedDiT(DiT):
    """A DiT with cross-attention behind its last blocks, in the place of a two-stream network.

    Args:
        vocabulary: V, the mask excluded; the mask id is V.
        latent_width: w.
        readers: how many blocks have cross-attention behind them, at most all.
        timed: whether tokens are told t_x; latents are always told t_z.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, *, latent_width: int, readers: int, timed: bool = False, **network):
        super().__init__(vocabulary, timed=timed, **network)
        width, condition = network["width"], network["condition"]
        self.latent_embedding = nn.Linear(latent_width, width)
        self.latent_time = TimeEmbedding(condition)
        self.latent_norm = FinalNorm(width, condition)
        self.readers = nn.ModuleList(CrossAttention(width, network["heads"]) for _ in range(readers))
        self.latent_head = nn.Identity()  # the latents themselves: it predicts none

    @staticmethod
    def is_new(name: str) -> bool:
        """Whether a parameter is none of the DiT's."""
        return name.startswith(("latent_", "readers."))

    def forward(  # type: ignore[override]
        self, x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor, z_masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states (B, N, d) of tokens, and z as it is; the arguments are those of `MMDiT.forward`."""
        assert z_masked is None, "it takes vectors"
        transformer, h = self.transformer, self.embedding(x)
        condition = self.time(t_x) if self.time else h.new_zeros(1, self.condition)
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        stride = x.shape[1] / z.shape[1]
        centres = (torch.arange(z.shape[1], device=x.device, dtype=torch.float32) + 0.5) * stride - 0.5
        at_tokens, at_latents = (
            rotary_embedding(each, transformer.head_width, transformer.rope_base) for each in (positions, centres)
        )
        memory = self.latent_norm(self.latent_embedding(z), self.latent_time(t_z))
        first = len(transformer.blocks) - len(self.readers)
        for index, block in enumerate(transformer.blocks):
            if transformer.recompute and torch.is_grad_enabled():
                (h,) = checkpoint(block, [h], [condition], [at_tokens], use_reentrant=False)
            else:
                (h,) = block([h], [condition], [at_tokens])
            if index >= first:
                h = self.readers[index - first](h, memory, at_tokens, at_latents)
        return transformer.norms[0](h, condition), z
