"""DCD: a masked model and an autoregressive one of the same tokens, sampled together (Liu et al., 2025, 2410.01949).

The two are trained side by side on the same batches and share nothing, so each is what it would be alone (but for the
clipping of gradients, whose norm is taken over both). The denoiser's causal pass has the weights of its bidirectional
one. The authors' code uses a denoiser that was never trained so; `causal_share` trains it with the causal mask too.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ladd.config.blocks import NetworkConfig, Rate, TokenChannelConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction, token_loss
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.networks import CausalTransformer, DiT
from ladd.networks.transformer import KeyValueCache, Transformer
from ladd.samplers.dcd import CopulaSource
from ladd.samplers.sources import NextTokenSource, Stream, share_equal_rows
from ladd.systems.ar import negative_log_likelihood
from ladd.systems.base import Passes, SampleCost, Surroundings, Values, backbone_macs
from ladd.systems.own_sampler import SystemWithSampler


class DcdSettings(SystemSettings):
    """A masked model, whose size is `network`, and an autoregressive one."""

    family: Literal["dcd"]
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)
    next_token: NetworkConfig | None = None  # the autoregressive network; null: of the size of the other
    causal_share: Rate = 0.0  # of the steps, in which the denoiser is trained under the causal mask


class EitherWay(DiT):
    """A DiT that can run under a causal mask, with the same weights."""

    def forward(self, x: Tensor, t: Tensor, causal: bool = False) -> Tensor:
        """Hidden states (B, N, d) of tokens x int64 (B, N) at times t (B,)."""
        if not causal:
            return super().forward(x, t)
        embedded = self.embedding(x)
        condition = self.time(t) if self.time else embedded.new_zeros(1, self.condition)
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        return causal_view(self.transformer)([embedded], [condition], [positions])[0]


def causal_view(transformer: Transformer) -> Transformer:
    """The same parameters under a causal mask."""
    view, blocks = copy(transformer), []
    for block in transformer.blocks:
        blocks.append(copy(block))
        blocks[-1].causal = True  # type: ignore[assignment]
        blocks[-1]._compiled_call_impl = None  # that of the block it was copied from would run without the mask
    view._modules = dict(transformer._modules) | {"blocks": nn.ModuleList(blocks)}
    return view


class DcdModel(nn.Module):
    """Both networks."""

    def __init__(self, denoiser: EitherWay, next_token: CausalTransformer):
        super().__init__()
        self.denoiser, self.next_token = denoiser, next_token


class Dcd(SystemWithSampler):
    """MDLM and an autoregressive model, drawn from by their copula."""

    name = "dcd"
    Settings = DcdSettings
    label, colour, place = "DCD", "#AA4499", 35
    meaning = "a masked model and an autoregressive one, drawn from together from left to right"
    citation = """
@inproceedings{liu2025dcd,
  title = {Discrete Copula Diffusion},
  author = {Liu, Anji and others},
  booktitle = {International Conference on Learning Representations},
  year = {2025},
  note = {arXiv:2410.01949},
}
"""
    source: ClassVar[type] = CopulaSource
    unread = ("eta",)

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        self.process = MaskedProcess(DISCRETE_SCHEDULES[settings.token_channel.schedule], self.vocabulary)

    @property
    def _next_network(self) -> NetworkConfig:
        return self.settings.next_token or self.settings.network

    def build(self) -> DcdModel:
        timed, network = self.settings.token_channel.timed, self.settings.network
        return DcdModel(
            EitherWay(self.vocabulary, timed=timed, **network.model_dump()),
            CausalTransformer(self.vocabulary, **self._next_network.model_dump()),
        )

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """The sum of both models' losses; in validation the denoiser sees all tokens."""
        channel, denoiser = self.settings.token_channel, model.denoiser
        if model.training and self._causal(noise, step):
            denoiser = CausalOnly(denoiser)
        loss = token_loss(self.process, denoiser, x, noise, step, weight=channel.weight, warp=channel.warp)
        next_token = negative_log_likelihood(model.next_token, x, start_id=self.vocabulary)
        parts = {"token": loss.mean() / self.tokens, "next_token": next_token.mean() / self.tokens}
        return {"loss": parts["token"] + parts["next_token"], **parts}

    def _causal(self, noise: SampleNoise, step: int) -> bool:
        """Whether a step is one under the causal mask: the same for all parts of its batch."""
        drawn = SampleNoise(noise.seed, torch.zeros(1, dtype=torch.int64)).uniform("causal", step, 1)
        return bool(drawn < self.settings.causal_share)

    def source_of(self, model: DcdModel, *, share_rows: bool = True) -> CopulaSource:
        denoiser, network = model.denoiser, share_equal_rows(model.denoiser, share_rows)
        return CopulaSource(
            Stream(self.process, "token", (self.tokens,)),
            lambda x, t, causal: Prediction(network(x, t, causal), denoiser.token_head),
            NextTokenSource(model.next_token, self.vocabulary, KeyValueCache),
        )

    def nominal_passes(self, token_steps: int, latent_steps: int) -> Passes:
        """Two of the denoiser for every step, and one of the autoregressive model for every token."""
        return Passes(2 * token_steps, self.tokens)

    def cost(self, passes: Passes) -> SampleCost:
        """With its cache the N passes of the autoregressive model, here the latent passes, add up to a full one.

        The denoiser's head runs at all positions: the ratio is that of whole distributions.
        """
        network, other, share = self.settings.network, self._next_network, passes.latent_passes / self.tokens
        macs = passes.token_passes * backbone_macs(self.tokens, network.width, network.layers)
        macs += share * backbone_macs(self.tokens, other.width, other.layers)
        heads = (passes.token_passes * network.width + share * other.width) * self.tokens * self.vocabulary
        return SampleCost.of(sum(passes), macs, heads)


class CausalOnly:
    """A denoiser that always runs under the causal mask."""

    def __init__(self, denoiser: EitherWay):
        self.denoiser, self.token_head = denoiser, denoiser.token_head

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        return self.denoiser(x, t, True)
