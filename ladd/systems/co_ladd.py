"""Co-LADD: masked diffusion of tokens, Gaussian diffusion of continuous latents.

CCDD is a preset: joint, with one latent per token and a frozen encoder (the key of the model says so).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import Tensor, nn

from ladd.config.blocks import GaussianName
from ladd.config.evaluation import SweepConfig
from ladd.config.latents import LatentsConfig, LatentShape
from ladd.diffusion.process import Prediction
from ladd.samplers.joint import check_lead
from ladd.samplers.sources import PairSource, PriorSource, Stream, share_equal_rows
from ladd.systems.base import Passes, backbone_macs
from ladd.systems.channels import Latents, Vectors
from ladd.systems.ladd import Ladd, LaddModel, LaddSettings


class CoLaddSettings(LaddSettings):
    """A model on vectors."""

    family: Literal["co-ladd"]


class CoLadd(Ladd):
    """Latents are L vectors of a frozen encoder."""

    name = "co-ladd"
    Settings = CoLaddSettings
    label, colour, place = "Co-LADD", "#009E73", 4
    meaning = "diffusion over tokens and a short sequence of continuous latents"

    @classmethod
    def title(cls, key: str) -> str:
        return "CCDD" if "ccdd" in key.lower() else cls.label

    @classmethod
    def needs_prior(cls, settings: Any, schedule: str) -> bool:
        """The denoiser was trained with latents and tokens at noise of any kind; clean latents come from a prior."""
        return cls.samplers(settings)[schedule].latents_at == "clean"

    @classmethod
    def check(cls, settings: Any, latents: LatentShape | None, learned: LatentsConfig | None) -> None:
        if latents is None or latents.codebook is not None:
            raise ValueError(f"latents: co-ladd needs continuous latents, {settings.latents!r} is discrete")
        if (schedule := settings.latent_channel.schedule) not in (allowed := list(get_args(GaussianName))):
            raise ValueError(f"latent_channel.schedule: {schedule!r} is not for vectors; allowed are {allowed}")
        super().check(settings, latents, learned)

    @classmethod
    def check_sweep(cls, settings: Any, sweep: SweepConfig) -> None:
        super().check_sweep(settings, sweep)
        if cls.samplers(settings)[sweep.schedule].latents_at == "shared":
            check_lead(sweep)

    def latent_channel(self) -> Vectors:
        return Vectors(self.settings.latent_channel.schedule)

    def clean(self, model: LaddModel, stored: Tensor) -> Latents:
        return Latents(stored.float())  # in half precision where a pretrained encoder made them

    def source_of(self, model: LaddModel, *, share_rows: bool = True) -> PairSource:
        denoiser, network = model.denoiser, share_equal_rows(model.denoiser, share_rows)
        shape = (self.shape.length, self.shape.width)

        def predict(x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor) -> tuple[Prediction, Prediction]:
            hidden, latent_hidden = network(x, z, t_x, t_z)
            return Prediction(hidden, denoiser.token_head), Prediction(latent_hidden, denoiser.latent_head)

        prior = None
        if (denoise := model.prior) is not None:
            stream = Stream(denoise.process, "latent", shape)
            prior = PriorSource(stream, lambda z, t: Prediction(denoise(z, t), nn.Identity()))
        tokens, latents = Stream(self.process, "token", (self.tokens,)), Stream(self.channel.process, "latent", shape)
        return PairSource(tokens, latents, predict, prior)

    def latent_head_macs(self, passes: Passes) -> float:
        """The prior predicts all latents at each of its passes; jointly, every pass of the denoiser does."""
        width = self.prior.network.width if self.prior and passes.latent_passes else self.settings.network.width
        return (passes.latent_passes or passes.token_passes) * self.shape.length * width * self.shape.width

    def prior_macs(self, passes: Passes) -> float:
        if self.prior is None:
            return 0
        network = self.prior.network
        return passes.latent_passes * backbone_macs(self.shape.length, network.width, network.layers)
