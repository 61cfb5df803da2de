"""Autoregressive baseline: next-token prediction from left to right."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ladd.config.evaluation import SweepConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.heads import weighted_cross_entropy
from ladd.diffusion.noise import SampleNoise
from ladd.evaluation.bounds import BoundSettings
from ladd.networks import CausalTransformer
from ladd.networks.transformer import KeyValueCache
from ladd.progress import counted
from ladd.samplers.sources import NextTokenSource
from ladd.systems.base import Passes, SampleCost, System, Values, backbone_macs


class ArSettings(SystemSettings):
    """An autoregressive model."""

    family: Literal["ar"]
    token_channel: None = None  # there is no noise


class Ar(System):
    """A causal transformer of the same width and depth as the others; its start symbol is V."""

    name = "ar"
    Settings = ArSettings
    label, colour, place = "AR", "#CC79A7", 0
    meaning = "autoregressive: from left to right, one step for each token"
    source = NextTokenSource
    left_to_right = True

    def build(self) -> CausalTransformer:
        return CausalTransformer(self.vocabulary, **self.settings.network.model_dump())

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        return {"loss": negative_log_likelihood(model, x, start_id=self.vocabulary).mean() / self.tokens}

    def validation_bound(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise) -> Tensor:
        """The exact -log p(x)."""
        return self.losses(model, x, latents, noise, 0)["loss"]

    @torch.no_grad()
    def bounds(
        self, model: Any, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """token_elbo is the exact -log p(x)."""
        losses = [
            negative_log_likelihood(model, part, start_id=self.vocabulary)
            for part in counted(x.split(settings.batch), "likelihood", "batch")
        ]
        return {"token_elbo": torch.cat(losses).double() / x.shape[1]}

    def source_of(self, model: CausalTransformer, *, share_rows: bool = True) -> NextTokenSource:
        return NextTokenSource(model, self.vocabulary, KeyValueCache)

    def cost(self, passes: Passes) -> SampleCost:
        """With a key-value cache the N one-token passes add up to one full pass."""
        network = self.settings.network
        macs = 1.0 * backbone_macs(self.tokens, network.width, network.layers)
        return SampleCost.of(passes.token_passes, macs, self.tokens * network.width * self.vocabulary)


def negative_log_likelihood(network: CausalTransformer, x: Tensor, *, start_id: int) -> Tensor:
    """-log p(x), exact, in nats per sequence: x int64 (B, N) -> (B,)."""
    inputs = F.pad(x[:, :-1], (1, 0), value=start_id)
    hidden = network(inputs).flatten(0, 1)
    nll = weighted_cross_entropy(hidden, network.token_head, x.flatten(), hidden.new_ones(len(hidden)))
    return nll.view_as(x).sum(dim=1)
