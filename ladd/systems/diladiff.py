"""DiLaDiff: a trained MDLM that goes on with latents (Lemercier et al., 2026, arXiv 2605.23605).

The token network is that of a baseline, with its weights, and cross-attention to the latents that starts at zero; the
latents come from an encoder of another stage, and in sampling from a prior, before the tokens. What this changes
against Co-LADD: the network predicts no latents, so there is no joint schedule, and Stage 1 gives it no weights.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator
from torch import Tensor

from ladd.config.blocks import Count, Key, Weight
from ladd.config.evaluation import SweepConfig
from ladd.config.latents import LatentsConfig, LatentShape
from ladd.config.models import SystemSettings
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.times import draw_channel_times
from ladd.networks.adapted import AdaptedDiT
from ladd.samplers.base import Sampler
from ladd.systems.base import Passes, SampleCost, Values, backbone_macs
from ladd.systems.channels import pair_losses
from ladd.systems.co_ladd import CoLadd, CoLaddSettings
from ladd.systems.ladd import EncodedModel, LaddModel
from ladd.systems.stage1 import build_encoder

BEGINS_AS = "mdlm"


class DiladiffSettings(CoLaddSettings):
    """A model on vectors that starts from a baseline."""

    family: Literal["diladiff"]  # type: ignore[assignment]
    start: Key  # the baseline
    readers: Count = 2  # blocks with cross-attention behind them, the last ones
    latent_weight: Weight = 0.0

    @model_validator(mode="after")
    def _check_readers(self) -> DiladiffSettings:
        if self.readers > self.network.layers:
            raise ValueError(f"readers {self.readers} must be at most network.layers, {self.network.layers}")
        for name in ("latent_weight", "latents_first"):
            if value := getattr(self, name):
                raise ValueError(f"{name} {value} must be 0 for diladiff: the network predicts no latents")
        return self

    def check_start(self, baseline: SystemSettings) -> None:
        """Whether the weights of a baseline fit.

        Raises:
            ValueError: they do not; the message begins with the name of a setting.
        """
        if baseline.family != BEGINS_AS:
            raise ValueError(f"start: {self.start!r} is {baseline.family}, it must be {BEGINS_AS}")
        if self.data != baseline.data:
            raise ValueError(f"start: {self.start!r} is of data {baseline.data!r}, and this of {self.data!r}")
        channel: Any = baseline.token_channel  # type: ignore[attr-defined]
        for name, own, other in (
            ("network", self.network, baseline.network),
            ("token_channel.timed", self.token_channel.timed, channel.timed),
            ("token_channel.schedule", self.token_channel.schedule, channel.schedule),
        ):
            if own != other:
                raise ValueError(f"{name}: {own} must be that of baselines.{self.start}, {other}")


class Diladiff(CoLadd):
    """MDLM with cross-attention to L vectors."""

    name = "diladiff"
    Settings = DiladiffSettings  # type: ignore[assignment]
    label, colour, place = "DiLaDiff", "#DDCC77", 39
    meaning = "a trained masked diffusion model that goes on with latents, which are drawn first"
    citation = """
@misc{lemercier2026diladiff,
  title = {DiLaDiff: Distilled Latent-Augmented Diffusion for Language Modeling},
  author = {Lemercier, Jean-Marie and Geffner, Tomas and Mardani, Morteza and Kreis, Karsten and Vahdat, Arash and
            Juki{\\'c}, Ante},
  year = {2026},
  note = {arXiv:2605.23605},
}
"""

    @classmethod
    def title(cls, key: str) -> str:
        return cls.label

    @classmethod
    def samplers(cls, settings: Any) -> dict[str, type[Sampler]]:
        """Those that draw the latents first; what needs no settings of its own comes before the others."""
        fitting = [(name, each) for name, each in super().samplers(settings).items() if each.latents_at == "clean"]
        return dict(sorted(fitting, key=lambda item: item[1].Settings is not SweepConfig))

    @classmethod
    def check(cls, settings: Any, latents: LatentShape | None, learned: LatentsConfig | None) -> None:
        """The network of Stage 1 may be another one."""
        super().check(settings, latents, None)

    def build(self) -> LaddModel:
        settings, shape = self.settings, self.shape
        denoiser: Any = AdaptedDiT(
            self.vocabulary,
            latent_width=shape.width,
            readers=settings.readers,
            timed=settings.token_channel.timed,
            **settings.network.model_dump(),
        )
        encoder = None if self.learned is None else build_encoder(self.vocabulary, self.learned)
        return EncodedModel(denoiser, encoder, None, shape.scale)

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """The token loss given latents, nats per token."""
        channel, of_latents = self.settings.token_channel, self.settings.latent_channel
        assert latents is not None
        noise_range = self.settings.latent_noise
        times = draw_channel_times(noise, step, of_latents.times, warp=channel.warp, latent_range=noise_range)
        token = pair_losses(
            model.denoiser,
            x,
            self.clean(model, latents),
            times,
            noise,
            step,
            self.process,
            self.channel,
            weight=channel.weight,
            latent_dropout=of_latents.dropout,
            with_latent=False,
        ).token
        assert token is not None
        return {"loss": token.mean() / self.tokens}

    def cost(self, passes: Passes) -> SampleCost:
        """Cross-attention has queries and outputs for N tokens, and keys and values for L latents."""
        network, length, width = self.settings.network, self.shape.length, self.settings.network.width
        reader = 2 * (self.tokens + length) * width**2 + 2 * self.tokens * length * width
        macs = backbone_macs(self.tokens, width, network.layers) + self.settings.readers * reader
        heads = self.tokens * width * self.vocabulary
        heads += self.latent_head_macs(passes) if passes.latent_passes else 0
        return SampleCost.of(sum(passes), passes.token_passes * macs + self.prior_macs(passes), heads)
