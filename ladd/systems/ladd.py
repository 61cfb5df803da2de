"""What the latent-augmented systems share: networks, Eq. 14, bounds and costs; each adds its latent channel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ladd.config.blocks import LatentChannelConfig, LatentsName, Range, Rate, TokenChannelConfig, Weight
from ladd.config.evaluation import SweepConfig
from ladd.config.latents import LatentsConfig, LatentShape
from ladd.config.models import SystemSettings
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import ChannelTimes, TimeDraw, draw_channel_times
from ladd.evaluation.bounds import BoundSettings, LossByTime, average_draws, loss_by_time
from ladd.latents.codebook import Codebook
from ladd.latents.model import LatentModel, encode_frozen
from ladd.networks import Encoder
from ladd.progress import counted
from ladd.samplers.sources import PairSource
from ladd.systems.base import Passes, SampleCost, Surroundings, System, Values, backbone_macs
from ladd.systems.channels import Channel, Latents, pair_losses, stack_losses
from ladd.systems.stage1 import build_denoiser, build_encoder

if TYPE_CHECKING:
    from ladd.latents.prior import LatentPrior

LEAST_WEIGHT = 1e-6  # of all losses together
WHOLE_RANGE = [0.0, 1.0]


class LaddSettings(SystemSettings):
    """Stage 2: a latent-augmented model on frozen latents, from the Stage 1 weights where there are some."""

    latents: LatentsName
    token_weight: Weight = 1.0  # lambda_x
    latent_weight: Weight = 1.0  # lambda_z
    latent_noise: Range = Field(default=[0.0, 1.0])  # of t_z in training; the sequential schedule alone needs none
    latents_first: Rate = 0.0  # share of sequences at t_x = 1, for the latent loss alone: sequential draws there
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)
    latent_channel: LatentChannelConfig

    @property
    def latents_name(self) -> str:
        return self.latents

    @model_validator(mode="after")
    def _check_losses(self) -> LaddSettings:
        low, high = self.latent_noise
        if low > high:
            raise ValueError(f"latent_noise {self.latent_noise} must be [low, high] with low <= high")
        if self.latent_channel.times == "shared" and self.latent_noise != WHOLE_RANGE:
            raise ValueError(f"latent_noise {self.latent_noise} must be [0.0, 1.0] with shared times: t_z is t_x")
        if self.token_weight + self.latent_weight < LEAST_WEIGHT:
            raise ValueError(
                f"token_weight {self.token_weight} and latent_weight {self.latent_weight} leave no loss to train on; "
                f"their sum must be at least {LEAST_WEIGHT:g}"
            )
        if (1 - self.latents_first) * self.training.batch < 1 - 1e-9:  # but for rounding
            raise ValueError(
                f"latents_first {self.latents_first} leaves less than one sequence of training.batch "
                f"{self.training.batch} for the tokens; lower it"
            )
        return self


class LaddModel(nn.Module):
    """All that sampling and evaluation need; a pretrained encoder, clean tokens (B, N) -> (B, L, w), is no part of it.
    Whoever needs that, or a prior, sets it. ``scale``: norm of the latent vectors."""

    def __init__(self, denoiser: Any, encoder: Encoder | None, codebook: Codebook | None, scale: float):
        super().__init__()
        self.denoiser = denoiser
        self.prior: LatentPrior | None = None
        self.encoder = None if encoder is None else encoder.requires_grad_(False)
        self.codebook, self.scale = codebook, scale
        self.pretrained_encoder: Callable[[Tensor], Tensor] | None = None

    def start_from(self, trained: LatentModel) -> None:
        assert self.encoder is not None
        self.denoiser.load_state_dict(trained.denoiser.state_dict())
        self.encoder.load_state_dict(trained.encoder.state_dict())
        if self.codebook is not None:
            self.codebook.load_state_dict(trained.frozen_codebook().state_dict())

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Latents of clean tokens x int64 (B, N): vectors (B, L, w), and codes int64 (B, L) or None."""
        encoder = self.encoder or self.pretrained_encoder
        assert encoder is not None, "the model was loaded without its pretrained encoder"
        return encode_frozen(encoder, self.codebook, self.scale, x)


class EncodedModel(LaddModel):
    """A model with a denoiser of its own, not that of Stage 1, on the latents of its encoder."""

    def start_from(self, trained: LatentModel) -> None:
        assert self.encoder is not None
        self.encoder.load_state_dict(trained.encoder.state_dict())


class Ladd(System):
    """Tokens and latents under one two-stream denoiser."""

    source: ClassVar[type] = PairSource
    uses_latents: ClassVar[bool] = True
    citation = """
@article{shariatian2025latent,
  title   = {Latent-Augmented Discrete Diffusion Models},
  author  = {Shariatian, Dario and Durmus, Alain and Simsekli, Umut and Peluchetti, Stefano},
  journal = {arXiv preprint arXiv:2510.18114},
  year    = {2025}
}
"""

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        assert around.shape is not None
        self.shape: LatentShape = around.shape
        self.process = MaskedProcess(DISCRETE_SCHEDULES[settings.token_channel.schedule], self.vocabulary)
        self.channel = self.latent_channel()

    @abstractmethod
    def latent_channel(self) -> Channel:
        """The stream of the latents."""

    @abstractmethod
    def clean(self, model: LaddModel, stored: Tensor) -> Latents:
        """Latents of a batch, as they were stored."""

    @classmethod
    def check(cls, settings: Any, latents: LatentShape | None, learned: LatentsConfig | None) -> None:
        """The denoiser goes on from the weights of Stage 1, so it must be the same network for the same process."""
        if learned is None:
            return
        for name, place in (
            ("network", "denoiser"),
            ("latent_channel.schedule", "latent_channel.schedule"),
            ("token_channel.timed", "token_channel.timed"),
        ):
            both = ((name, settings), (place, learned))
            own, stage1 = (reduce(getitem, path.split("."), block.model_dump()) for path, block in both)
            if own != stage1:
                raise ValueError(
                    f"{name}: {own!r} must equal latents.{settings.latents}.{place}, its Stage 1, which is {stage1!r}"
                )

    @classmethod
    def check_sweep(cls, settings: Any, sweep: SweepConfig) -> None:
        super().check_sweep(settings, sweep)
        shared = cls.samplers(settings)[sweep.schedule].latents_at == "shared"
        if shared and settings.latent_noise != WHOLE_RANGE:
            raise ValueError(
                f"schedule: the {sweep.schedule} schedule starts from pure noise, but models.{sweep.model}."
                f"latent_noise is {settings.latent_noise}; train it on [0.0, 1.0]"
            )

    def build(self) -> LaddModel:
        settings, shape = self.settings, self.shape
        return LaddModel(
            build_denoiser(self.vocabulary, shape, settings.network, timed=settings.token_channel.timed),
            None if self.learned is None else build_encoder(self.vocabulary, self.learned),
            Codebook(shape.codebook, shape.width) if shape.codebook else None,
            shape.scale,
        )

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """lambda_x x token loss + lambda_z x latent loss (paper, Eq. 14)."""
        settings = self.settings
        assert latents is not None
        times = draw_channel_times(
            noise,
            step,
            settings.latent_channel.times,
            warp=settings.token_channel.warp,
            latents_first=settings.latents_first,
            latent_range=settings.latent_noise,
        )
        losses = pair_losses(
            model.denoiser,
            x,
            self.clean(model, latents),
            times,
            noise,
            step,
            self.process,
            self.channel,
            weight=settings.token_channel.weight,
            latent_dropout=settings.latent_channel.dropout,
        )
        assert losses.token is not None
        assert losses.latent is not None
        parts = {  # losses in nats share the unit of the token loss: nats per token
            "token": losses.token.mean() / self.tokens,
            "latent": losses.latent.mean() / (self.tokens if self.channel.in_nats else 1),
        }
        return {"loss": settings.token_weight * parts["token"] + settings.latent_weight * parts["latent"], **parts}

    def validation_bound(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise) -> Tensor | None:
        """Of codes, those of the sequential schedule: latents given no token, then tokens given clean latents."""
        if not self.channel.in_nats:
            return None
        assert latents is not None
        clean = self.clean(model, latents)

        def term(times: str, *, token: bool) -> Tensor:
            drawn = draw_channel_times(noise, 0, times)
            arguments = x, clean, drawn, noise, 0, self.process, self.channel
            return stack_losses(pair_losses(model.denoiser, *arguments, with_token=token, with_latent=not token))

        return (term("clean", token=True) + term("latent_first", token=False)).mean() / self.tokens

    @torch.no_grad()
    def bounds(
        self, model: LaddModel, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """token_elbo is given clean latents, or those of the same time if the sampler's are noisy; no bound on -log p,
        since the encoder saw x. full_bound adds the latents' term and is a bound, of codes that are a function of x."""
        latents, with_latent = encode_all(model, x, settings.batch), self.channel.in_nats
        joint = self.samplers(self.settings)[sweep.schedule].latents_at == "shared"

        def terms(times: str, *, token: bool, latent: bool) -> tuple[Tensor, ...]:
            def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
                drawn = draw_channel_times(noise, draw, times, latent_lead=sweep.latent_lead)
                arguments = x[rows], latents.select(rows), drawn, noise, draw, self.process, self.channel
                return stack_losses(pair_losses(model.denoiser, *arguments, with_token=token, with_latent=latent))

            return average_draws(x, settings, loss).unbind(dim=1)

        if token_only:
            (token,) = terms("shared" if joint else "clean", token=True, latent=False)
            return {"token_elbo": token}
        (clean,) = terms("clean", token=True, latent=False)
        if joint:
            token, *latent = terms("shared", token=True, latent=with_latent)
        else:
            token, *latent = clean, *(terms("latent_first", token=False, latent=True) if with_latent else ())
        bounds = {"token_elbo": token, "token_loss_clean_latent": clean}
        return bounds | ({"full_bound": token + latent[0]} if with_latent else {})

    @torch.no_grad()
    def losses_by_time(
        self, model: LaddModel, x: Tensor, settings: BoundSettings, sweep: SweepConfig
    ) -> Iterator[tuple[str, LossByTime]]:
        latents = encode_all(model, x, settings.batch)
        for name, latent_time in latent_times(self.settings).items():
            plain = self._plain_loss(model, x, latents, sweep.latent_lead, latent_time)
            yield name, loss_by_time(self.process, x, settings, plain)

    def _plain_loss(
        self, model: LaddModel, x: Tensor, latents: Latents, lead: float, latent_time: float | None
    ) -> Callable[[Tensor, SampleNoise, int], tuple[Tensor, Tensor]]:
        """Unweighted token losses from latents at a time t_z, or at t_x^lead."""

        def plain(rows: Tensor, noise: SampleNoise, draw: int) -> tuple[Tensor, Tensor]:
            times = draw_channel_times(noise, draw, "shared", latent_lead=lead)
            if latent_time is not None:
                fixed = TimeDraw(torch.full_like(times.token.t, latent_time), torch.ones_like(times.token.t))
                times = ChannelTimes(times.token, fixed)
            arguments = x[rows], latents.select(rows), times, noise, draw, self.process, self.channel
            loss = pair_losses(model.denoiser, *arguments, weight="constant", with_latent=False).token
            assert loss is not None
            return loss, times.token.t

        return plain

    def cost(self, passes: Passes) -> SampleCost:
        network = self.settings.network
        macs = passes.token_passes * backbone_macs(self.tokens + self.shape.length, network.width, network.layers)
        heads = self.tokens * network.width * self.vocabulary + self.latent_head_macs(passes)
        return SampleCost.of(sum(passes), macs + self.prior_macs(passes), heads)

    @abstractmethod
    def latent_head_macs(self, passes: Passes) -> float:
        """Multiply-adds of the heads that predict latents."""

    def prior_macs(self, passes: Passes) -> float:
        """Multiply-adds of the network of the latents alone."""
        return 0


def latent_times(settings: LaddSettings) -> dict[str, float | None]:
    """Times t_z that the latents are shown at, by name, of those trained on; None is the time of the joint schedule."""
    noisy: dict[str, float | None] = {"shared": None} if settings.latent_channel.times == "shared" else {"noisy": 0.5}
    low, high = settings.latent_noise
    times = {"clean": 0.0} | noisy | {"masked": 1.0}
    return {name: t for name, t in times.items() if (low, high) == (0.0, 1.0) or (t is not None and low <= t <= high)}


def encode_all(model: LaddModel, x: Tensor, batch: int) -> Latents:
    vectors, codes = zip(*(model.encode(part) for part in counted(x.split(batch), "latents", "batch")), strict=True)
    return Latents(torch.cat(vectors), None if codes[0] is None else torch.cat(codes))
