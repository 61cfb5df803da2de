"""E-MoE: masked diffusion whose mixture-of-experts routes are a discrete latent (Ivanov et al., 2026).

In every block each token passes one of E experts, which a linear router draws. Given the routes tokens are independent
in a step, and without them they are not. In training the routes come from the same routers on the clean tokens, in a
pass of its own, and their divergence from those on the masked tokens is charged, block by block: both see the routes of
the blocks before, so the sum over blocks is the divergence of the whole.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ladd.config.blocks import Fraction, Temperature, TokenChannelConfig, Weight
from ladd.config.evaluation import SweepConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import low_discrepancy_times
from ladd.evaluation.bounds import BoundSettings, average_draws
from ladd.networks.routed import Routed, RoutedDiT
from ladd.samplers.e_moe import RoutedSource
from ladd.samplers.sources import Stream, share_equal_rows
from ladd.systems.base import Passes, SampleCost, Surroundings, Values, backbone_macs
from ladd.systems.own_sampler import SystemWithSampler


class EMoeSettings(SystemSettings):
    """A model of tokens with experts in every block."""

    family: Literal["e-moe"]
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)
    experts: Annotated[int, Field(ge=1, le=256)] = 4  # E
    kl_weight: Weight = 1.0  # of the divergence of the routes; its time has no weight, unlike that of the tokens
    # Of the relaxed choice between two experts, at the beginning and at the end; between them it falls exponentially.
    relaxation: Annotated[list[Temperature], Field(min_length=2, max_length=2)] = Field(default=[1.0, 0.1])
    annealing: Fraction = 1.0  # share of the steps until it is at its end

    @model_validator(mode="after")
    def _check_executor(self) -> EMoeSettings:
        if self.training.executor.compile or self.training.executor.recompute:
            raise ValueError(
                "training.executor: compile and recompute must be false: blocks with experts are not those that they "
                "act on"
            )
        return self


def divergence(posterior: list[Tensor], prior: list[Tensor]) -> Tensor:
    """KL (B,) of the routes' laws, nats per sequence: the sum over blocks and tokens, from logits (B, N, E) of each."""
    total = torch.zeros(1, dtype=posterior[0].dtype, device=posterior[0].device)
    for q, p in zip(posterior, prior, strict=True):
        log_q, log_p = torch.log_softmax(q, dim=-1), torch.log_softmax(p, dim=-1)
        total = total + (log_q.exp() * (log_q - log_p)).sum(dim=(1, 2))
    return total


class EMoe(SystemWithSampler):
    """A DiT with experts that fills masks."""

    name = "e-moe"
    Settings = EMoeSettings
    label, colour, place = "E-MoE", "#AA7744", 37
    meaning = "masked diffusion whose tokens pass randomly chosen experts, which they have in common by attention"
    citation = """
@misc{ivanov2026emoe,
  title = {{E-MoE}: Enhanced Mixture-of-Experts for Non-Factorized Diffusion Language Models},
  author = {Ivanov, Arseny and others},
  year = {2026},
  note = {arXiv:2609.37533},
}
"""
    source: ClassVar[type] = RoutedSource
    unread = ("eta",)

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        self.process = MaskedProcess(DISCRETE_SCHEDULES[settings.token_channel.schedule], self.vocabulary)
        self.choices = settings.network.layers, self.tokens, settings.experts  # (D, N, E)

    def build(self) -> RoutedDiT:
        settings = self.settings
        timed, network = settings.token_channel.timed, settings.network.model_dump()
        return RoutedDiT(self.vocabulary, experts=settings.experts, timed=timed, **network)

    def _recognised(
        self, model: Any, x: Tensor, noised: Tensor, t: Tensor, uniform: Tensor, temperature: float = 1.0
    ) -> tuple[Routed, Tensor]:
        """The pass on noised tokens along routes of the clean ones x, and the divergence (B,) of the routes."""
        posterior = model(x, torch.zeros_like(t), uniform, temperature)
        routed = model(noised, t, posterior.routes)
        return routed, divergence(posterior.logits, routed.logits)

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """w(t) (token loss) + KL, one draw of the routes, in nats per token."""
        channel = self.settings.token_channel
        times = low_discrepancy_times(noise.whole.uniform("t_x", step, 1)[:, 0], channel.warp).select(noise.rows)
        noised = self.process.corrupt(x, times.t, StreamNoise(noise, "token", step))
        uniform = StreamNoise(noise, "route", step).uniform("", *self.choices)
        routed, kl = self._recognised(model, x, noised.state, times.t, uniform, self._temperature(step))
        prediction = Prediction(routed.hidden, model.token_head)
        token = self.process.loss(prediction, x, noised, times, channel.weight).mean()
        charged = (kl * times.weight).mean()
        return {
            "loss": (token + self.settings.kl_weight * charged) / self.tokens,
            "token": token / self.tokens,
            "kl": charged,  # nats per sequence
        }

    def _temperature(self, step: int) -> float:
        start, end = self.settings.relaxation
        steps = self.settings.annealing * self.settings.training.steps
        return end if step >= steps else start * (end / start) ** (step / steps)

    @torch.no_grad()
    def bounds(
        self, model: Any, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """Bounds on -log p(x) of the sampler in continuous time, where each token is revealed in a step of its own.

        token_elbo has the routes that the sampler draws; by Jensen's inequality it is a bound. full_bound has those of
        the clean tokens, and pays their divergence for every token. What is trained is neither.
        """

        def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
            clean = x[rows]
            times = low_discrepancy_times(noise.whole.uniform("t_x", draw, 1)[:, 0]).select(noise.rows)
            noised = self.process.corrupt(clean, times.t, StreamNoise(noise, "token", draw))
            uniform = StreamNoise(noise, "route", draw).uniform("", *self.choices)

            def of_tokens(routed: Routed) -> Tensor:
                prediction = Prediction(routed.hidden, model.token_head)
                return self.process.loss(prediction, clean, noised, times, "elbo").double()

            drawn = of_tokens(model(noised.state, times.t, uniform))
            if token_only:
                return drawn[:, None]
            routed, kl = self._recognised(model, clean, noised.state, times.t, uniform)
            assert noised.changed is not None
            paid = self.process.time_weight(times, "elbo") * noised.changed.sum(dim=1) * kl.double()
            return torch.stack([drawn, of_tokens(routed) + paid], dim=1)

        token, *full = average_draws(x, settings, loss).unbind(dim=1)
        return {"token_elbo": token} | ({"full_bound": full[0]} if full else {})

    def source_of(self, model: RoutedDiT, *, share_rows: bool = True) -> RoutedSource:
        network = share_equal_rows(model, share_rows)
        return RoutedSource(
            Stream(self.process, "token", (self.tokens,)),
            self.choices,
            lambda x, t, uniform: Prediction(network(x, t, uniform).hidden, model.token_head),
        )

    def cost(self, passes: Passes) -> SampleCost:
        """A token passes one expert, and the router of every block."""
        network, count = self.settings.network, passes.token_passes
        macs = backbone_macs(self.tokens, network.width, network.layers)
        macs += network.layers * self.tokens * network.width * self.settings.experts
        return SampleCost.of(count, count * macs, self.tokens * network.width * self.vocabulary)
