"""From configuration to networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ladd.latents.codebook import Codebook
from ladd.latents.model import LatentModel, encode_frozen
from ladd.networks import CausalTransformer, DiT, Encoder, LatentDiT, MMDiT

if TYPE_CHECKING:
    from ladd.config import BaselineConfig, LatentsConfig, LatentShape, ModelConfig, NetworkConfig


class Ladd(nn.Module):
    """A latent-augmented model: everything that sampling and evaluation need.

    Args:
        denoiser: two-stream network.
        encoder: learned in Stage 1 and frozen; None where a pretrained encoder is used, which is no part of the model.
        codebook: frozen (Di-LADD), or None.
        latent_denoiser: of sequential Co-LADD, or None.
        scale: norm of the latent vectors.
    Attributes:
        pretrained_encoder: clean tokens (B, N) -> (B, L, w), of a model without a learned one; set by whoever encodes.
    """

    def __init__(
        self,
        denoiser: MMDiT,
        encoder: Encoder | None,
        codebook: Codebook | None,
        latent_denoiser: LatentDiT | None,
        scale: float,
    ):
        super().__init__()
        self.denoiser, self.latent_denoiser = denoiser, latent_denoiser
        self.encoder = None if encoder is None else encoder.requires_grad_(False)
        self.codebook, self.scale = codebook, scale
        self.pretrained_encoder: Callable[[Tensor], Tensor] | None = None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Latents of clean tokens x int64 (B, N): vectors (B, L, w), and codes int64 (B, L) or None."""
        encoder = self.encoder or self.pretrained_encoder
        assert encoder is not None, "the model was loaded without its pretrained encoder"
        return encode_frozen(encoder, self.codebook, self.scale, x)


def build_encoder(vocabulary: int, config: LatentsConfig) -> Encoder:
    """The learned encoder of Stage 1."""
    return Encoder(vocabulary, length=config.length, latent_width=config.width, **_arguments(config.encoder))


def build_latent_model(vocabulary: int, config: LatentsConfig) -> LatentModel:
    """All that Stage 1 trains."""
    return LatentModel(
        build_encoder(vocabulary, config),
        _denoiser(vocabulary, config.shape, config.denoiser, timed=config.token_channel.timed),
        latent_width=config.width,
        codebook_size=config.codebook,
        scale=config.shape.scale,
    )


def build_ladd(vocabulary: int, shape: LatentShape, model: ModelConfig, learned: LatentsConfig | None = None) -> Ladd:
    """All that Stage 2 trains or carries, untrained.

    Args:
        vocabulary: V.
        shape: of the latents.
        model: its configuration.
        learned: Stage 1 of the latents, or None where a pretrained encoder makes them.
    """
    denoiser = model.latent_denoiser
    return Ladd(
        _denoiser(vocabulary, shape, model.network, timed=model.token_channel.timed),
        None if learned is None else build_encoder(vocabulary, learned),
        Codebook(shape.codebook, shape.width) if shape.codebook else None,
        LatentDiT(shape.width, **_arguments(denoiser.network)) if denoiser else None,
        shape.scale,
    )


def build_baseline(vocabulary: int, config: BaselineConfig) -> DiT | CausalTransformer:
    """An MDLM denoiser or an autoregressive network."""
    if config.token_channel is None:  # ar
        return CausalTransformer(vocabulary, **_arguments(config.network))
    return DiT(vocabulary, timed=config.token_channel.timed, **_arguments(config.network))


def _denoiser(vocabulary: int, shape: LatentShape, network: NetworkConfig, *, timed: bool) -> MMDiT:
    """The two-stream denoiser that both stages train."""
    return MMDiT(
        vocabulary,
        latent_width=shape.width,
        latent_outputs=shape.codebook or shape.width,
        timed=timed,
        **_arguments(network),
    )


def _arguments(config: NetworkConfig) -> dict:
    return config.model_dump()
