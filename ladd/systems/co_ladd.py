"""Co-LADD: masked diffusion of tokens, Gaussian diffusion of continuous latents.

CCDD is a preset: joint, with one latent per token and a frozen encoder (the key of the model says so).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from torch import Tensor, nn

from ladd.config.blocks import Block, GaussianName, NetworkConfig
from ladd.config.evaluation import SweepConfig
from ladd.config.latents import LatentsConfig, LatentShape
from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.latents.prior import LatentPrior, prior_loss
from ladd.samplers.base import Sampler
from ladd.samplers.joint import check_lead
from ladd.samplers.sources import PairSource, PriorSource, Stream, share_equal_rows
from ladd.systems.base import Passes, Values, backbone_macs
from ladd.systems.channels import Latents, Vectors
from ladd.systems.ladd import Ladd, LaddModel, LaddSettings


class LatentDenoiserConfig(Block):
    """Latent denoiser of sequential Co-LADD: never sees the tokens."""

    schedule: GaussianName
    network: NetworkConfig


class CoLaddSettings(LaddSettings):
    """A model on vectors."""

    family: Literal["co-ladd"]
    latent_denoiser: LatentDenoiserConfig | None = None  # null: no sequential schedule


class CoLadd(Ladd):
    """Latents are L vectors of a frozen encoder."""

    name = "co-ladd"
    Settings = CoLaddSettings
    label, colour, place = "Co-LADD", "#009E73", 4

    @classmethod
    def title(cls, key: str) -> str:
        return "CCDD" if "ccdd" in key.lower() else cls.label

    @classmethod
    def samplers(cls, settings: Any) -> dict[str, type[Sampler]]:
        """Clean latents come from the prior, where the model has one."""
        found = super().samplers(settings)
        without_prior = {name: each for name, each in found.items() if each.latents_at == "shared"}
        return found if settings.latent_denoiser is not None else without_prior

    @classmethod
    def limits(cls, settings: Any) -> str:
        return "latent_denoiser is null" if settings.latent_denoiser is None else ""

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

    def build_prior(self) -> LatentPrior | None:
        config = self.settings.latent_denoiser
        return None if config is None else LatentPrior(self.shape.width, **config.network.model_dump())

    def prior_process(self) -> GaussianProcess:
        """Of the latents where the prior draws them."""
        return GaussianProcess(GAUSSIAN_SCHEDULES[self.settings.latent_denoiser.schedule])

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """Eq. 14, and the loss of the prior."""
        parts = super().losses(model, x, latents, noise, step)
        if model.latent_denoiser is not None:
            assert latents is not None
            z = self.clean(model, latents).vectors
            parts["latent_denoiser"] = prior_loss(model.latent_denoiser, z, noise, step, self.prior_process()).mean()
            parts["loss"] = parts["loss"] + parts["latent_denoiser"]
        return parts

    def source_of(self, model: LaddModel, *, share_rows: bool = True) -> PairSource:
        denoiser, network = model.denoiser, share_equal_rows(model.denoiser, share_rows)
        shape = (self.shape.length, self.shape.width)

        def predict(x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor) -> tuple[Prediction, Prediction]:
            hidden, latent_hidden = network(x, z, t_x, t_z)
            return Prediction(hidden, denoiser.token_head), Prediction(latent_hidden, denoiser.latent_head)

        prior = None
        if (denoise := model.latent_denoiser) is not None:
            stream = Stream(self.prior_process(), "latent", shape)
            prior = PriorSource(stream, lambda z, t: Prediction(denoise(z, t), nn.Identity()))
        tokens, latents = Stream(self.process, "token", (self.tokens,)), Stream(self.channel.process, "latent", shape)
        return PairSource(tokens, latents, predict, prior)

    def latent_head_macs(self, passes: Passes) -> float:
        """The prior predicts all latents at each of its passes; jointly, every pass of the denoiser does."""
        config = self.settings.latent_denoiser
        width = config.network.width if passes.latent_passes else self.settings.network.width
        return (passes.latent_passes or passes.token_passes) * self.shape.length * width * self.shape.width

    def prior_macs(self, passes: Passes) -> float:
        config = self.settings.latent_denoiser
        if not passes.latent_passes:
            return 0
        return passes.latent_passes * backbone_macs(self.shape.length, config.network.width, config.network.layers)
