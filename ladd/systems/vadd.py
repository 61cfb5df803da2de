"""VADD: variational autoencoding discrete diffusion (Xie et al., 2026, arXiv 2505.17384).

The denoiser of MDLM is given a vector z, one per sequence, from N(0, I). In training z comes from a recognition network
that sees the clean tokens and which of them are masked, and its divergence from N(0, I) is charged.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ladd.config.blocks import Fraction, NetworkConfig, Size, TokenChannelConfig, Weight
from ladd.config.evaluation import SweepConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import low_discrepancy_times
from ladd.evaluation.bounds import BoundSettings, average_draws
from ladd.networks import DiT
from ladd.samplers.sources import Stream, share_equal_rows
from ladd.samplers.vadd import VaddSource
from ladd.systems.base import Surroundings, Values
from ladd.systems.own_sampler import SystemWithSampler

ACTIVE = 0.01  # variance of the mean over sequences, from which a coordinate counts as used


class VaddSettings(SystemSettings):
    """A model of tokens with a vector behind every step."""

    family: Literal["vadd"]
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)
    latent_width: Size = 8  # d
    recognition: NetworkConfig | None = None  # null: of the size of the denoiser; used in training alone
    kl_weight: Weight = 1.0  # lambda at the end
    kl_start: Fraction = 0.001  # lambda at the beginning, as a share of that
    kl_warmup: Fraction = 0.3  # share of the steps until lambda is there


class VaddDenoiser(DiT):
    """A DiT whose conditioning has a vector in it.

    Args:
        vocabulary: V.
        latent_width: d.
        timed: whether it is told t.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, *, latent_width: int, timed: bool = False, **network: Any):
        super().__init__(vocabulary, timed=timed, **network)
        inner = network["condition"]
        self.latent = nn.Sequential(nn.Linear(latent_width, inner), nn.SiLU(), nn.Linear(inner, inner))

    def forward(self, x: Tensor, t: Tensor, z: Tensor | None = None) -> Tensor:
        """Hidden states (B, N, d) of tokens x int64 (B, N) at times t (B,) given z (B, w); None leaves it out."""
        embedded = self.embedding(x)
        condition = self.time(t) if self.time else embedded.new_zeros(1, self.condition)
        if z is not None:
            condition = condition + self.latent(z)
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        return self.transformer([embedded], [condition], [positions])[0]


class Recognition(nn.Module):
    """Clean tokens and which of them are masked to mean and log deviation of the vector.

    It must see the mask: what is visible needs no vector to tell it.
    """

    def __init__(self, vocabulary: int, *, latent_width: int, **network: Any):
        super().__init__()
        self.trunk = DiT(vocabulary, **network)
        self.trunk.token_head = nn.Linear(network["width"], 2 * latent_width)
        self.mark = nn.Parameter(torch.randn(network["width"]))  # at masked positions

    def forward(self, x: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """x int64 (B, N), masked bool (B, N) -> two of (B, d)."""
        trunk = self.trunk
        embedded = trunk.embedding(x) + masked[..., None] * self.mark
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        (hidden,) = trunk.transformer([embedded], [embedded.new_zeros(1, trunk.condition)], [positions])
        mean, log_deviation = trunk.token_head(hidden.mean(dim=1)).chunk(2, dim=-1)
        return mean, log_deviation


class VaddModel(nn.Module):
    """Denoiser and recognition network; the second is used in training and by bounds."""

    def __init__(self, denoiser: VaddDenoiser, recognition: Recognition):
        super().__init__()
        self.denoiser, self.recognition = denoiser, recognition


def divergence(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """KL(N(mean, deviation^2) || N(0, I)) (B,), nats, of two (B, d)."""
    return (mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation).sum(dim=1) / 2


class Vadd(SystemWithSampler):
    """A DiT that fills masks given a random vector."""

    name = "vadd"
    Settings = VaddSettings
    label, colour, place = "VADD", "#44AA99", 31
    meaning = "masked diffusion whose steps are given a random vector that their tokens have in common"
    citation = """
@inproceedings{xie2026vadd,
  title = {Variational Autoencoding Discrete Diffusion with Enhanced Dimensional Correlations Modeling},
  author = {Xie, Tianyu and others},
  booktitle = {International Conference on Learning Representations},
  year = {2026},
  note = {arXiv:2505.17384},
}
"""
    source: ClassVar[type] = VaddSource
    unread = ("eta",)

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        self.process = MaskedProcess(DISCRETE_SCHEDULES[settings.token_channel.schedule], self.vocabulary)

    def build(self) -> VaddModel:
        settings, width = self.settings, self.settings.latent_width
        network = settings.network.model_dump()
        recognition = network if settings.recognition is None else settings.recognition.model_dump()
        timed = settings.token_channel.timed
        return VaddModel(
            VaddDenoiser(self.vocabulary, latent_width=width, timed=timed, **network),
            Recognition(self.vocabulary, latent_width=width, **recognition),
        )

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """w(t) (token loss + lambda KL), one draw of z, in nats per token."""
        channel, settings = self.settings.token_channel, self.settings
        times = low_discrepancy_times(noise.whole.uniform("t_x", step, 1)[:, 0], channel.warp).select(noise.rows)
        noised = self.process.corrupt(x, times.t, StreamNoise(noise, "token", step))
        mean, log_deviation = model.recognition(x, noised.changed)
        z = mean + log_deviation.exp() * StreamNoise(noise, "latent", step).normal("", mean.shape[1]).to(mean.dtype)
        prediction = Prediction(model.denoiser(noised.state, times.t, z), model.denoiser.token_head)
        token = self.process.loss(prediction, x, noised, times, channel.weight).mean()
        kl = divergence(mean, log_deviation)
        charged = (self.process.time_weight(times, channel.weight) * kl).mean()
        lam = settings.kl_weight * self._share(step) if model.training else settings.kl_weight
        return {
            "loss": (token + lam * charged) / self.tokens,
            "token": token / self.tokens,
            "kl": kl.mean(),  # nats per sequence
            "active_units": (mean.detach().var(dim=0, correction=0) > ACTIVE).sum().float(),
        }

    def _share(self, step: int) -> float:
        """Of lambda at a training step."""
        start, steps = self.settings.kl_start, self.settings.kl_warmup * self.settings.training.steps
        return 1.0 if step >= steps else start + (1 - start) * step / steps

    @torch.no_grad()
    def bounds(
        self, model: Any, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """Bounds on -log p(x) of the sampler in continuous time; what is trained, w(t) (tokens + KL), is none of it.

        Fresh vectors: token_elbo has z from N(0, I); by Jensen's inequality it is a bound by itself. full_bound has z
        from the recognition network, and pays its KL for every masked token, since each is revealed in a step of its
        own. One vector for all steps: z is recognised with all tokens masked, and its KL is paid once; token_elbo is
        then no bound.
        """
        kept = getattr(sweep, "latent", "fresh") == "kept"

        def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
            clean = x[rows]
            times = low_discrepancy_times(noise.whole.uniform("t_x", draw, 1)[:, 0]).select(noise.rows)
            noised = self.process.corrupt(clean, times.t, StreamNoise(noise, "token", draw))
            eps = StreamNoise(noise, "latent", draw).normal("", self.settings.latent_width).float()

            def of_tokens(z: Tensor) -> Tensor:
                prediction = Prediction(model.denoiser(noised.state, times.t, z), model.denoiser.token_head)
                return self.process.loss(prediction, clean, noised, times, "elbo").double()

            seen = torch.ones_like(clean, dtype=torch.bool) if kept else noised.changed
            mean, log_deviation = model.recognition(clean, seen)
            recognised, kl = mean + log_deviation.exp() * eps, divergence(mean, log_deviation).double()
            if kept:
                token = of_tokens(recognised)
                return torch.stack([token, token + kl], dim=1)
            assert noised.changed is not None
            paid = self.process.time_weight(times, "elbo") * noised.changed.sum(dim=1) * kl
            return torch.stack([of_tokens(eps), of_tokens(recognised) + paid], dim=1)

        token, full = average_draws(x, settings, loss).unbind(dim=1)
        return {"token_elbo": token} | ({} if token_only else {"full_bound": full})

    def source_of(self, model: VaddModel, *, share_rows: bool = True) -> VaddSource:
        denoiser, network = model.denoiser, share_equal_rows(model.denoiser, share_rows)
        return VaddSource(
            Stream(self.process, "token", (self.tokens,)),
            self.settings.latent_width,
            lambda x, t, z: Prediction(network(x, t, z), denoiser.token_head),
        )
