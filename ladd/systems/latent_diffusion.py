"""Latent diffusion with a terminal decoder (TEncDM, COSMOS; that of LD4LG is `latent_diffusion_ar`).

The latents and their prior are those of other stages; the model is the decoder, which predicts all tokens at once from
the latents, and is trained on noisy or incomplete ones so that it can read what the prior draws. It is the two-stream
network where all tokens are masked, and starts from the weights of Stage 1 where the latents were learned there.

Settings that make the published systems: TEncDM has one latent per token, of a frozen encoder, and decoder noise;
COSMOS has fewer latents, noise and zeroed coordinates, with an autoencoder that Stage 1 trains with
`token_noise: [1.0, 1.0]`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ladd.config.blocks import GaussianName, LatentsName, Range, Rate
from ladd.config.evaluation import SweepConfig
from ladd.config.latents import LatentsConfig, LatentShape
from ladd.config.models import SystemSettings
from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES, GAUSSIAN_SCHEDULES
from ladd.diffusion.times import TimeDraw, low_discrepancy_times
from ladd.networks import MMDiT
from ladd.samplers.decoded import DecodedSource
from ladd.samplers.sources import PriorSource, Stream, share_equal_rows
from ladd.systems.base import Passes, SampleCost, Surroundings, System, Values, backbone_macs
from ladd.systems.ladd import LaddModel
from ladd.systems.stage1 import build_denoiser, build_encoder


class LatentDiffusionSettings(SystemSettings):
    """A decoder of vectors."""

    family: Literal["latent-diffusion"]
    latents: LatentsName
    latent_schedule: GaussianName = "cosine"  # of the noise in training
    latent_noise: Range = Field(default=[0.0, 0.15])  # of its times; the decoder is not told them
    latent_masking: Rate = 0.0  # share of the coordinates that are set to zero in training

    @property
    def latents_name(self) -> str:
        return self.latents

    @model_validator(mode="after")
    def _check(self) -> LatentDiffusionSettings:
        low, high = self.latent_noise
        if low > high:
            raise ValueError(f"latent_noise {self.latent_noise} must be [low, high] with low <= high")
        return self


class LatentDiffusion(System):
    """One pass from latents to tokens."""

    name = "latent-diffusion"
    Settings = LatentDiffusionSettings
    label, colour, place = "Latent diffusion", "#661100", 38
    meaning = "diffusion over latents alone, and one pass that decodes them"
    citation = """
@inproceedings{shabalin2025tencdm,
  title = {{TEncDM}: Understanding the Properties of the Diffusion Model in the Space of Language Model Encodings},
  author = {Shabalin, Alexander and Meshchaninov, Viacheslav and Chimbulatov, Egor and Lapikov, Vladislav and
    Kim, Roman and Bartosh, Grigory and Molchanov, Dmitry and Markov, Sergey and Vetrov, Dmitry},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year = {2025},
  note = {arXiv:2402.19097},
}

@inproceedings{meshchaninov2025cosmos,
  title = {Compressed and Smooth Latent Space for Text Diffusion Modeling},
  author = {Meshchaninov, Viacheslav and others},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2025},
  note = {arXiv:2506.21170},
}
"""
    source: ClassVar[type] = DecodedSource
    uses_latents: ClassVar[bool] = True

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        assert around.shape is not None
        self.shape: LatentShape = around.shape
        self.process = MaskedProcess(DISCRETE_SCHEDULES["linear"], self.vocabulary)
        self.latents = GaussianProcess(GAUSSIAN_SCHEDULES[settings.latent_schedule])

    @classmethod
    def needs_prior(cls, settings: Any, schedule: str) -> bool:
        return True

    @classmethod
    def check(cls, settings: Any, latents: LatentShape | None, learned: LatentsConfig | None) -> None:
        if latents is None or latents.codebook is not None:
            raise ValueError(f"latents: {settings.family} needs continuous latents, {settings.latents!r} is discrete")
        if learned is not None and settings.network != learned.denoiser:
            raise ValueError(
                f"network: {settings.network.model_dump()} must equal latents.{settings.latents}.denoiser, whose "
                f"weights it starts from, which is {learned.denoiser.model_dump()}"
            )

    @classmethod
    def check_sweep(cls, settings: Any, sweep: SweepConfig) -> None:
        super().check_sweep(settings, sweep)
        if sweep.given is not None:
            raise ValueError(f"given: {sweep.given.kind!r}; the latents are drawn without tokens, write null")

    def build(self) -> LaddModel:
        timed = self.learned is not None and self.learned.token_channel.timed
        return LaddModel(
            build_denoiser(self.vocabulary, self.shape, self.settings.network, timed=timed),
            None if self.learned is None else build_encoder(self.vocabulary, self.learned),
            None,
            self.shape.scale,
        )

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """Cross-entropy of all tokens given noisy latents, nats per token."""
        z = self.noisy(latents, noise, step)
        masked = torch.ones_like(x, dtype=torch.bool)
        one = torch.ones(len(x), dtype=torch.float64, device=x.device)
        prediction = self._decoded(model.denoiser, model.denoiser, z)
        noised = Noised(torch.full_like(x, self.process.mask_id), masked)
        return {"loss": self.process.loss(prediction, x, noised, TimeDraw(one, one), "constant").mean() / self.tokens}

    def noisy(self, latents: Tensor | None, noise: SampleNoise, step: int) -> Tensor:
        """What the decoder sees of stored latents in training, (B, L, w)."""
        assert latents is not None
        low, high = self.settings.latent_noise
        times = low_discrepancy_times(noise.whole.uniform("t_z", step, 1)[:, 0]).select(noise.rows)
        of_latents = StreamNoise(noise, "latent", step)
        z = self.latents.corrupt(latents.float(), low + (high - low) * times.t, of_latents).state
        if self.settings.latent_masking:
            z = z * (of_latents.uniform("masking", *z.shape[1:]) >= self.settings.latent_masking)
        return z

    def _decoded(self, denoiser: MMDiT, network: Any, z: Tensor) -> Prediction:
        """Of all tokens, as if the latents z (B, L, w) were clean."""
        x = torch.full((1, self.tokens), self.process.mask_id, device=z.device)
        hidden, _ = network(x, z, z.new_ones(1), z.new_zeros(len(z)))
        return Prediction(hidden, denoiser.token_head)

    def source_of(self, model: LaddModel, *, share_rows: bool = True) -> DecodedSource:
        denoiser, prior = model.denoiser, model.prior
        assert prior is not None, "the model was loaded without its prior"
        network = share_equal_rows(denoiser, share_rows)
        stream = Stream(prior.process, "latent", (self.shape.length, self.shape.width))
        return DecodedSource(
            Stream(self.process, "token", (self.tokens,)),
            PriorSource(stream, lambda z, t: Prediction(prior(z, t), nn.Identity())),
            lambda z: self._decoded(denoiser, network, z),
        )

    def nominal_passes(self, token_steps: int, latent_steps: int) -> Passes:
        """K of the prior and one of the decoder."""
        return Passes(1, token_steps)

    def cost(self, passes: Passes) -> SampleCost:
        network, length = self.settings.network, self.shape.length
        macs = passes.token_passes * backbone_macs(self.tokens + length, network.width, network.layers)
        heads = passes.token_passes * self.tokens * network.width * self.vocabulary
        if self.prior is not None:
            of_prior = self.prior.network
            macs += passes.latent_passes * backbone_macs(length, of_prior.width, of_prior.layers)
            heads += passes.latent_passes * length * of_prior.width * self.shape.width
        return SampleCost.of(sum(passes), macs, heads)
