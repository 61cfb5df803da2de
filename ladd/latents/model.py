"""Stage 1: encoder, quantiser and the token denoiser that teaches them (paper, Section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ladd.diffusion.noise import StepStream
from ladd.distributed import gather_rows, own_rows, world_size
from ladd.latents.codebook import Codebook, vector_quantiser
from ladd.latents.reduction import normalise_latents
from ladd.networks import Encoder, MMDiT


class Encoded(NamedTuple):
    """Latents of a batch and the commitment loss (a scalar, 0 for continuous latents)."""

    vectors: Tensor  # (B, L, w)
    codes: Tensor | None  # int64 (B, L), discrete latents
    commitment: Tensor


class LatentModel(nn.Module):
    """Networks of Stage 1.

    Args:
        encoder: clean tokens (B, N) -> (B, L, w).
        denoiser: two-stream network.
        codebook_size: K, or None for continuous latents.
        scale: norm of the latent vectors.
    """

    quantising: Tensor

    def __init__(
        self, encoder: Encoder, denoiser: MMDiT, *, latent_width: int, codebook_size: int | None, scale: float
    ):
        super().__init__()
        self.encoder, self.denoiser, self.scale = encoder, denoiser, scale
        self.quantiser = None if codebook_size is None else vector_quantiser(codebook_size, latent_width)
        self.stream = StepStream()  # of k-means and of the revival of dead codes
        self.register_buffer("quantising", torch.tensor(False))

    def restart_draws(self, seed: int) -> None:
        """Let the quantiser draw from the start of the stream with this seed; the trainer calls it before each step."""
        self.stream.restart(seed)

    def encode(self, x: Tensor) -> Encoded:
        """Latents of clean tokens x int64 (B, N); in training mode this moves the codebook's averages.

        Discrete latents stay continuous until ``quantising`` is set: the encoder of an untrained adaLN-Zero network
        gives almost the same vector for every sequence, and k-means on those would start a collapsed codebook.
        """
        z = self.encoder(x)
        if self.quantiser is None or not self.quantising:
            return Encoded(normalise_latents(z, self.scale), None, z.new_zeros(()))
        if not self.training:
            vectors, codes, commitment = self.quantiser(z)
            return Encoded(vectors * self.scale, codes, commitment.sum())
        # Every worker moves its codebook by the latents of all, in the same order and with the same draws, so that
        # codebooks stay equal to the bit and do not depend on the number of workers; k-means and revival of dead codes
        # need no messages then.
        everywhere = gather_rows(z)
        with self.stream.use(z.device):
            vectors, codes, commitment = self.quantiser(everywhere)
        # The commitment is a mean over all workers, and gradients are averaged over workers: scale this one's share.
        share = commitment.sum() * world_size()
        return Encoded(own_rows(vectors) * self.scale, own_rows(codes), share - (share - commitment.sum()).detach())

    def frozen_codebook(self) -> Codebook:
        """A copy of the learned codebook, of discrete latents, that cannot move."""
        assert self.quantiser is not None
        learned = self.quantiser.codebook.detach()
        codebook = Codebook(*learned.shape)
        codebook.vectors.copy_(learned * self.scale)
        return codebook


def encode_frozen(
    encoder: Callable[[Tensor], Tensor], codebook: Codebook | None, scale: float, x: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Latents of clean tokens by a frozen encoder: vectors (B, L, w), and codes (B, L) if discrete."""
    if isinstance(encoder, nn.Module):
        encoder.eval()  # without dropout, whatever the mode of the model around it
    with torch.no_grad():
        z = encoder(x)
        if codebook is None:
            return normalise_latents(z, scale), None
        codes = codebook.nearest(z)
        return codebook.lookup(codes), codes
