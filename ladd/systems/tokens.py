"""What systems share that diffuse tokens alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction, Process, token_loss
from ladd.evaluation.bounds import BoundSettings, token_bound
from ladd.networks import DiT
from ladd.samplers.sources import Stream, TokenSource, share_equal_rows
from ladd.systems.base import Surroundings, System, Values


class TokenDiffusion(System):
    """A denoiser of tokens and the process that it undoes."""

    source: ClassVar[type] = TokenSource

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        self.process = self.token_process()

    @abstractmethod
    def token_process(self) -> Process:
        """The process of the tokens."""

    def build(self) -> DiT:
        channel, network = self.settings.token_channel, self.settings.network
        return DiT(self.vocabulary, timed=channel.timed, **network.model_dump())

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        channel = self.settings.token_channel
        loss = token_loss(self.process, model, x, noise, step, weight=channel.weight, warp=channel.warp)
        return {"loss": loss.mean() / self.tokens}

    def validation_bound(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise) -> Tensor:
        return token_loss(self.process, model, x, noise, 0).mean() / self.tokens

    def bounds(
        self, model: DiT, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """token_elbo bounds -log p(x)."""
        return {"token_elbo": token_bound(self.process, model, x, settings)}

    def source_of(self, model: DiT, *, share_rows: bool = True) -> TokenSource:
        network = share_equal_rows(model, share_rows)
        return TokenSource(
            Stream(self.process, "token", (self.tokens,)), lambda x, t: Prediction(network(x, t), model.token_head)
        )
