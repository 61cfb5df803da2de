"""From configuration to networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from ladd.latents import Codebook, LatentModel
from ladd.latents.model import encode_frozen
from ladd.networks import CausalTransformer, DiT, Encoder, LatentDiT, MMDiT

if TYPE_CHECKING:
    from ladd.config import BaselineConfig, LatentsConfig, ModelConfig, NetworkConfig


class Ladd(nn.Module):
    """A latent-augmented model: everything that sampling and evaluation need.

    Args:
        denoiser: two-stream network.
        encoder: frozen.
        codebook: frozen (Di-LADD), or None.
        latent_denoiser: of sequential Co-LADD, or None.
        scale: norm of the latent vectors.
    """

    def __init__(
        self,
        denoiser: MMDiT,
        encoder: Encoder,
        codebook: Codebook | None,
        latent_denoiser: LatentDiT | None,
        scale: float,
    ):
        super().__init__()
        self.denoiser, self.latent_denoiser = denoiser, latent_denoiser
        self.encoder, self.codebook, self.scale = encoder.requires_grad_(False), codebook, scale

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Latents of clean tokens x int64 (B, N): vectors (B, L, w), and codes int64 (B, L) or None."""
        return encode_frozen(self.encoder, self.codebook, self.scale, x)


def latent_scale(config: LatentsConfig) -> float:
    """Norm of the latent vectors: sqrt(w) gives coordinates of unit variance."""
    return config.width**0.5 if config.unit_variance else 1.0


def build_encoder(vocabulary: int, config: LatentsConfig) -> Encoder:
    """The learned encoder of Stage 1."""
    return Encoder(vocabulary, length=config.length, latent_width=config.width, **_arguments(config.encoder))


def build_denoiser(vocabulary: int, config: LatentsConfig) -> MMDiT:
    """The two-stream denoiser that both stages train."""
    return MMDiT(
        vocabulary,
        latent_width=config.width,
        latent_outputs=config.codebook or config.width,
        timed=config.token_channel.timed,
        **_arguments(config.denoiser),
    )


def build_latent_model(vocabulary: int, config: LatentsConfig) -> LatentModel:
    """All that Stage 1 trains."""
    return LatentModel(
        build_encoder(vocabulary, config),
        build_denoiser(vocabulary, config),
        latent_width=config.width,
        codebook_size=config.codebook,
        scale=latent_scale(config),
    )


def build_ladd(vocabulary: int, latents: LatentsConfig, model: ModelConfig) -> Ladd:
    """All that Stage 2 trains or carries, untrained."""
    denoiser = model.latent_denoiser
    return Ladd(
        build_denoiser(vocabulary, latents),
        build_encoder(vocabulary, latents),
        Codebook(latents.codebook, latents.width) if latents.codebook else None,
        LatentDiT(latents.width, **_arguments(denoiser.network)) if denoiser else None,
        latent_scale(latents),
    )


def build_baseline(vocabulary: int, config: BaselineConfig) -> DiT | CausalTransformer:
    """An MDLM denoiser or an autoregressive network."""
    if config.token_channel is None:  # ar
        return CausalTransformer(vocabulary, **_arguments(config.network))
    return DiT(vocabulary, timed=config.token_channel.timed, **_arguments(config.network))


def _arguments(config: NetworkConfig) -> dict:
    return config.model_dump()
