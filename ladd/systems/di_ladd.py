"""Di-LADD: masked diffusion of tokens and of codes, the same two-stream network for both."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import model_validator
from torch import Tensor

from ladd.config.blocks import MaskedName
from ladd.config.latents import LatentsConfig, LatentShape
from ladd.diffusion.process import Prediction
from ladd.samplers.sources import PairSource, Stream, share_equal_rows
from ladd.systems.base import Passes
from ladd.systems.channels import Codes, Latents
from ladd.systems.ladd import WHOLE_RANGE, Ladd, LaddModel, LaddSettings


class DiLaddSettings(LaddSettings):
    """A model on the codes of a codebook."""

    family: Literal["di-ladd"]

    @model_validator(mode="after")
    def _check(self) -> DiLaddSettings:
        if self.latent_noise != WHOLE_RANGE:
            raise ValueError(f"latent_noise {self.latent_noise} must be [0.0, 1.0] for di-ladd: codes start masked")
        return self


class DiLadd(Ladd):
    """Latents are L codes of a frozen codebook."""

    name = "di-ladd"
    Settings = DiLaddSettings
    label, colour, place = "Di-LADD", "#0072B2", 3
    meaning = "diffusion over tokens and a short sequence of discrete codes"
    unread = ("eta",)

    @classmethod
    def check(cls, settings: Any, latents: LatentShape | None, learned: LatentsConfig | None) -> None:
        if latents is None or latents.codebook is None:
            raise ValueError(f"latents: di-ladd needs discrete latents, {settings.latents!r} is continuous")
        channel = settings.latent_channel
        if channel.schedule not in (allowed := list(get_args(MaskedName))):
            raise ValueError(f"latent_channel.schedule: {channel.schedule!r} is not for codes; allowed are {allowed}")
        if channel.dropout:
            raise ValueError(
                f"latent_channel.dropout: {channel.dropout} must be 0 for di-ladd: a masked code is its null"
            )
        super().check(settings, latents, learned)

    def latent_channel(self) -> Codes:
        assert self.shape.codebook is not None
        return Codes(self.settings.latent_channel.schedule, self.shape.codebook)

    def clean(self, model: LaddModel, stored: Tensor) -> Latents:
        assert model.codebook is not None
        return Latents(model.codebook.lookup(stored.long()), stored.long())

    def source_of(self, model: LaddModel, *, share_rows: bool = True) -> PairSource:
        denoiser, codebook = model.denoiser, model.codebook
        network, mask_id = share_equal_rows(denoiser, share_rows), self.channel.process.mask_id  # type: ignore[attr-defined]
        assert codebook is not None

        def predict(x: Tensor, codes: Tensor, t_x: Tensor, t_z: Tensor) -> tuple[Prediction, Prediction]:
            masked = codes == mask_id
            inputs = x, codebook.lookup(codes.clamp(max=mask_id - 1)), t_x, t_z
            hidden, latent_hidden = network(*inputs, masked) if masked.any() else network(*inputs)
            return Prediction(hidden, denoiser.token_head), Prediction(latent_hidden, denoiser.latent_head)

        tokens = Stream(self.process, "token", (self.tokens,))
        return PairSource(tokens, Stream(self.channel.process, "code", (self.shape.length,)), predict)

    def latent_steps(self, most: int) -> int:
        """A code needs no more steps than there are codes."""
        return min(most, self.shape.length)

    def nominal_passes(self, token_steps: int, latent_steps: int) -> Passes:
        """Passes for codes run the whole network."""
        return Passes(token_steps + latent_steps, 0)

    def latent_head_macs(self, passes: Passes) -> float:
        """A code is drawn once."""
        return self.shape.length * self.settings.network.width * (self.shape.codebook or 0)
