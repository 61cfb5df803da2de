"""Latent diffusion with an autoregressive decoder (LD4LG: Lovelace et al., 2023).

As `latent_diffusion`, but tokens are drawn one after the other, each given the latents and the tokens before it. What
the latents do not tell, the decoder can still make coherent, for N passes of one position. The published system takes
both halves of its autoencoder from a pretrained BART; here the encoder is that of the latents, and the decoder starts
untrained.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ladd.config.latents import LatentsConfig, LatentShape
from ladd.diffusion.heads import weighted_cross_entropy
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction
from ladd.networks.prefixed import PrefixedTransformer
from ladd.networks.transformer import KeyValueCache
from ladd.samplers.decoded_ar import PrefixedSource
from ladd.samplers.sources import NextTokenSource, PriorSource, Stream
from ladd.systems.base import Passes, SampleCost, Values, backbone_macs
from ladd.systems.ladd import EncodedModel, LaddModel
from ladd.systems.latent_diffusion import LatentDiffusion, LatentDiffusionSettings
from ladd.systems.stage1 import build_encoder


class LatentDiffusionArSettings(LatentDiffusionSettings):
    """An autoregressive decoder of vectors."""

    family: Literal["latent-diffusion-ar"]  # type: ignore[assignment]


class LatentDiffusionAr(LatentDiffusion):
    """N passes of one position from latents to tokens."""

    name = "latent-diffusion-ar"
    Settings = LatentDiffusionArSettings  # type: ignore[assignment]
    label, colour, place = "Latent diffusion, AR decoder", "#AA4466", 40
    meaning = "diffusion over latents alone, decoded from left to right"
    citation = """
@inproceedings{lovelace2023latent,
  title = {Latent Diffusion for Language Generation},
  author = {Lovelace, Justin and Kishore, Varsha and Wan, Chao and Shekhtman, Eliot and Weinberger, Kilian Q.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2023},
  note = {arXiv:2212.09462},
}
"""
    source: ClassVar[type] = PrefixedSource

    @classmethod
    def check(cls, settings: Any, latents: LatentShape | None, learned: LatentsConfig | None) -> None:
        super().check(settings, latents, None)  # the network is its own

    def build(self) -> EncodedModel:
        return EncodedModel(
            PrefixedTransformer(
                self.vocabulary, self.shape.length, self.shape.width, **self.settings.network.model_dump()
            ),
            None if self.learned is None else build_encoder(self.vocabulary, self.learned),
            None,
            self.shape.scale,
        )

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """-log p(x | noisy latents), nats per token."""
        network, z = model.denoiser, self.noisy(latents, noise, step)
        hidden = network(F.pad(x[:, :-1], (1, 0), value=self.vocabulary), z=z).flatten(0, 1)
        nll = weighted_cross_entropy(hidden, network.token_head, x.flatten(), hidden.new_ones(len(hidden)))
        return {"loss": nll.view_as(x).sum(dim=1).mean() / self.tokens}

    def source_of(self, model: LaddModel, *, share_rows: bool = True) -> Any:
        prior = model.prior
        assert prior is not None, "the model was loaded without its prior"
        stream = Stream(prior.process, "latent", (self.shape.length, self.shape.width))
        latents = PriorSource(stream, lambda z, t: Prediction(prior(z, t), nn.Identity()))
        return PrefixedSource(latents, NextTokenSource(model.denoiser, self.vocabulary, KeyValueCache))

    def nominal_passes(self, token_steps: int, latent_steps: int) -> Passes:
        """K of the prior, and one for each position."""
        return Passes(self.tokens, token_steps)

    def cost(self, passes: Passes) -> SampleCost:
        """With a key-value cache the passes of one position add up to one full pass behind the latents."""
        of_prior = super().cost(Passes(0, passes.latent_passes))
        network = self.settings.network
        macs = 1.0 * backbone_macs(self.tokens + self.shape.length, network.width, network.layers)
        own = SampleCost.of(passes.token_passes, macs, self.tokens * network.width * self.vocabulary)
        return SampleCost(*(one + other for one, other in zip(of_prior, own, strict=True)))
