"""CCDD with its own rule: no latent is shown where the token is masked (Zhou et al., 2026, arXiv 2510.03206).

CCDD is joint Co-LADD with one latent per token, a frozen encoder and one time for both. Its rule, which is all that
this file adds, sets the latent to zero at masked positions: there it would tell the token that is asked for. With
``zero_masked: false`` it is Co-LADD.

The rule makes the token term a bound where a latent depends on its own token alone. Latents of an encoder with context
tell of masked neighbours too: then it is still none (tests/systems/test_ccdd.py).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import model_validator
from torch import Tensor

from ladd.errors import ConfigError
from ladd.networks import MMDiT
from ladd.systems.base import Surroundings
from ladd.systems.co_ladd import CoLadd, CoLaddSettings
from ladd.systems.ladd import LaddModel


class CcddSettings(CoLaddSettings):
    """A model on one vector per token."""

    family: Literal["ccdd-zeroed"]  # type: ignore[assignment]
    zero_masked: bool = True  # whether latents are hidden where tokens are masked

    @model_validator(mode="after")
    def _check_times(self) -> CcddSettings:
        if self.latent_channel.times != "shared":
            raise ValueError(f"latent_channel.times: {self.latent_channel.times!r} must be 'shared' for ccdd-zeroed")
        return self


class HiddenLatents(MMDiT):
    """A two-stream network that sees a latent only where its token is not masked; L = N."""

    def forward(
        self, x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor, z_masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `MMDiT.forward`."""
        return super().forward(x, hidden_where_masked(x, z, self.token_head.out_features), t_x, t_z, z_masked)


def hidden_where_masked(x: Tensor, z: Tensor, mask_id: int) -> Tensor:
    """Latents z (B, N, w), or (1, N, w), with zeros where x int64 (B, N), or (1, N), is masked."""
    return torch.where((x == mask_id)[..., None], torch.zeros_like(z), z)


class Ccdd(CoLadd):
    """Joint Co-LADD whose latents are hidden where tokens are masked."""

    name = "ccdd-zeroed"
    Settings = CcddSettings  # type: ignore[assignment]
    label, colour, place = "CCDD, zeroed", "#999933", 34
    meaning = "joint diffusion over tokens and one latent per token, hidden while the token is masked"
    citation = """
@inproceedings{zhou2026ccdd,
  title = {Coevolutionary Continuous Discrete Diffusion: Make Your Diffusion Language Model a Latent Reasoner},
  author = {Zhou, Cai and others},
  booktitle = {International Conference on Machine Learning},
  year = {2026},
  note = {arXiv:2510.03206},
}
"""

    @classmethod
    def title(cls, key: str) -> str:
        return cls.label

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        if self.shape.length != self.tokens:
            raise ConfigError(
                f"latents: {settings.latents!r} has L = {self.shape.length} latents; it needs one for each of the "
                f"N = {self.tokens} tokens"
            )

    def build(self) -> LaddModel:
        model, settings, width = super().build(), self.settings, self.shape.width
        if settings.zero_masked:  # the same parameters, under the same names
            sizes = {"latent_width": width, "latent_outputs": width, "timed": settings.token_channel.timed}
            model.denoiser = HiddenLatents(self.vocabulary, **sizes, **settings.network.model_dump())
        return model
