"""Stage 1: what learns the latents, and its loss (paper, Section 3.3)."""

from __future__ import annotations

from torch import Tensor

from ladd.config.blocks import NetworkConfig
from ladd.config.latents import LatentsConfig, LatentShape
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import draw_channel_times
from ladd.latents.model import LatentModel
from ladd.networks import Encoder, MMDiT
from ladd.systems.channels import Channel, Codes, Latents, Vectors, pair_losses


def build_encoder(vocabulary: int, config: LatentsConfig) -> Encoder:
    """The learned encoder."""
    network = config.encoder.model_dump()
    return Encoder(vocabulary, length=config.length, latent_width=config.width, **network)


def build_denoiser(vocabulary: int, shape: LatentShape, network: NetworkConfig, *, timed: bool) -> MMDiT:
    """The two-stream denoiser that both stages train."""
    outputs = shape.codebook or shape.width
    return MMDiT(vocabulary, latent_width=shape.width, latent_outputs=outputs, timed=timed, **network.model_dump())


class LearnedLatents:
    """Encoder, quantiser and token denoiser, lambda_z = 0.

    Args:
        vocabulary: V.
        tokens: N.
    """

    def __init__(self, config: LatentsConfig, vocabulary: int, tokens: int):
        self.config, self.vocabulary, self.tokens = config, vocabulary, tokens
        self.process = MaskedProcess(DISCRETE_SCHEDULES[config.token_channel.schedule], vocabulary)
        schedule = config.latent_channel.schedule
        self.channel: Channel = Vectors(schedule) if config.codebook is None else Codes(schedule, config.codebook)

    def build(self) -> LatentModel:
        """All that Stage 1 trains."""
        config = self.config
        return LatentModel(
            build_encoder(self.vocabulary, config),
            build_denoiser(self.vocabulary, config.shape, config.denoiser, timed=config.token_channel.timed),
            latent_width=config.width,
            codebook_size=config.codebook,
            scale=config.shape.scale,
        )

    def losses(
        self, model: LatentModel, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int
    ) -> dict[str, Tensor]:
        """Token loss given noisy latents, and the commitment of the encoder to its codes."""
        config = self.config
        if model.training and step >= config.quantise_after:
            model.quantising.fill_(True)
        encoded = model.encode(x)
        times = draw_channel_times(
            noise,
            step,
            config.latent_channel.times,
            warp=config.token_channel.warp,
            token_range=config.token_noise,
            latent_range=config.latent_noise,
        )
        token = pair_losses(
            model.denoiser,
            x,
            Latents(encoded.vectors, encoded.codes),
            times,
            noise,
            step,
            self.process,
            self.channel,
            weight=config.token_channel.weight,
            latent_dropout=config.latent_channel.dropout,
            with_latent=False,
        ).token
        assert token is not None
        token = token.mean() / self.tokens
        return {"loss": token + encoded.commitment, "token": token, "commitment": encoded.commitment}
