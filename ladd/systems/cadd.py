"""CADD: continuously augmented discrete diffusion (Zheng et al., 2026, arXiv 2510.01329).

Tokens are masked as in MDLM. A masked position carries, in place of nothing, a noisy vector of its token: z_t =
sqrt(g) W[x_0] + sqrt(1 - g) noise, with a learned table W and g the schedule of the vectors. The network sees E[x_t] +
z_t where a position is masked, and predicts tokens alone; there is no latent denoiser.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ladd.config.blocks import GaussianName, TokenChannelConfig
from ladd.config.evaluation import SweepConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES, GAUSSIAN_SCHEDULES, GaussianSchedule
from ladd.diffusion.times import TimeDraw, low_discrepancy_times
from ladd.evaluation.bounds import BoundSettings, average_draws
from ladd.networks import DiT
from ladd.samplers.cadd import CaddSource, plugged_in
from ladd.samplers.sources import Stream, share_equal_rows
from ladd.systems.base import Passes, SampleCost, Surroundings, Values, backbone_macs
from ladd.systems.own_sampler import SystemWithSampler


class CaddSettings(SystemSettings):
    """A model of tokens with a vector at each masked one."""

    family: Literal["cadd"]
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)
    latent_schedule: GaussianName = "linear"  # g of the vectors
    learned_table: bool = True  # whether W moves; else it stays at its random rows


class CaddNetwork(DiT):
    """A DiT whose masked positions are shown a vector too.

    Args:
        vocabulary: V.
        timed: whether it is told t.
        learned_table: whether the table moves.
        network: arguments of `Transformer`.
    """

    def __init__(self, vocabulary: int, *, timed: bool = False, learned_table: bool = True, **network: Any):
        super().__init__(vocabulary, timed=timed, **network)
        self.table = nn.Embedding(vocabulary, network["width"])  # rows from N(0, 1)
        self.table.requires_grad_(learned_table)

    def forward(self, x: Tensor, t: Tensor, z: Tensor | None = None) -> Tensor:
        """Hidden states (B, N, d) of tokens x int64 (B, N) at times t (B,), with vectors z (B, N, d) where masked."""
        embedded = self.embedding(x)
        if z is not None:
            embedded = embedded + z * (x == self.table.num_embeddings)[..., None]
        condition = self.time(t) if self.time else embedded.new_zeros(1, self.condition)
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        return self.transformer([embedded], [condition], [positions])[0]


class Corrupted(NamedTuple):
    """What the forward process made of a batch, and the prediction from it."""

    times: TimeDraw
    tokens: Noised
    hidden: Tensor  # (B, N, d)


class Cadd(SystemWithSampler):
    """A DiT that fills masks, each with a noisy vector of its token."""

    name = "cadd"
    Settings = CaddSettings
    label, colour, place = "CADD", "#882255", 30
    meaning = "masked diffusion whose masks carry a noisy vector of their token"
    citation = """
@inproceedings{zheng2026cadd,
  title = {Continuously Augmented Discrete Diffusion Model for Categorical Generative Modeling},
  author = {Zheng, Huangjie and others},
  booktitle = {International Conference on Learning Representations},
  year = {2026},
  note = {arXiv:2510.01329},
}
"""
    source: ClassVar[type] = CaddSource
    conditional: ClassVar[bool] = True  # vectors tell of the tokens that they stand for
    unread = ("eta",)

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        self.process = MaskedProcess(DISCRETE_SCHEDULES[settings.token_channel.schedule], self.vocabulary)
        self.vectors = GaussianProcess(GAUSSIAN_SCHEDULES[settings.latent_schedule])

    def build(self) -> CaddNetwork:
        timed, network = self.settings.token_channel.timed, self.settings.network
        return CaddNetwork(
            self.vocabulary, timed=timed, learned_table=self.settings.learned_table, **network.model_dump()
        )

    def _corrupted(self, model: Any, x: Tensor, noise: SampleNoise, step: int, warp: float = 1.0) -> Corrupted:
        times = low_discrepancy_times(noise.whole.uniform("t_x", step, 1)[:, 0], warp).select(noise.rows)
        noised = self.process.corrupt(x, times.t, StreamNoise(noise, "token", step))
        z_t = self.vectors.corrupt(model.table(x), times.t, StreamNoise(noise, "latent", step)).state
        return Corrupted(times, noised, model(noised.state, times.t, z_t))

    def _token_loss(self, model: Any, x: Tensor, corrupted: Corrupted, weight: str) -> Tensor:
        return self.process.loss(
            Prediction(corrupted.hidden, model.token_head), x, corrupted.tokens, corrupted.times, weight
        )

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        channel = self.settings.token_channel
        corrupted = self._corrupted(model, x, noise, step, channel.warp)
        return {"loss": self._token_loss(model, x, corrupted, channel.weight).mean() / self.tokens}

    def _latent_loss(self, model: Any, x: Tensor, corrupted: Corrupted) -> Tensor:
        """What the path of the vectors costs, (B,) nats: -SNR'/2 |W[x_0] - plug-in|^2 over masked positions."""
        predicted = plugged_in(model.token_head(corrupted.hidden), model.table.weight, "soft")
        error = (predicted - model.table(x)).double().square().sum(dim=-1)
        rate = snr_rate(self.vectors.schedule, corrupted.times.t) * corrupted.times.weight
        assert corrupted.tokens.changed is not None
        return rate / 2 * (error * corrupted.tokens.changed).sum(dim=1)

    @torch.no_grad()
    def bounds(
        self, model: Any, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """token_elbo is what is trained, and no bound: the vectors tell of the tokens that they stand for.

        full_bound adds what their path costs under the soft plug-in, in continuous time. The chain of tokens and
        vectors ends in the tokens, so it bounds -log p(x) of that sampler; the hard one has a larger cost or none.
        """

        def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
            corrupted = self._corrupted(model, x[rows], noise, draw)
            terms = [self._token_loss(model, x[rows], corrupted, "elbo").double()]
            return torch.stack(terms if token_only else [*terms, self._latent_loss(model, x[rows], corrupted)], dim=1)

        token, *latent = average_draws(x, settings, loss).unbind(dim=1)
        return {"token_elbo": token} | ({"full_bound": token + latent[0]} if latent else {})

    def source_of(self, model: CaddNetwork, *, share_rows: bool = True) -> CaddSource:
        network, table = share_equal_rows(model, share_rows), model.table.weight.detach()
        return CaddSource(
            Stream(self.process, "token", (self.tokens,)),
            Stream(self.vectors, "latent", (self.tokens, table.shape[1])),
            table,
            lambda x, z, t: Prediction(network(x, t, z), model.token_head),
        )

    def cost(self, passes: Passes) -> SampleCost:
        """The plug-in wants the prediction of every masked position in every pass; charged as if all were masked."""
        network, count = self.settings.network, passes.token_passes
        macs = count * backbone_macs(self.tokens, network.width, network.layers)
        return SampleCost.of(count, macs, 2 * count * self.tokens * network.width * self.vocabulary)


def snr_rate(schedule: GaussianSchedule, t: Tensor) -> Tensor:
    """-d/dt of the signal-to-noise ratio a^2 / (1 - a^2) at times t in (0, 1), float64."""
    with torch.enable_grad():
        at = t.detach().double().requires_grad_()
        signal = schedule.signal_squared(at)
        (ratio,) = torch.autograd.grad((signal / (1 - signal)).sum(), at)
    return -ratio
