"""Trained models: baselines, and latent-augmented models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ladd.config.blocks import (
    Block,
    GaussianName,
    Key,
    LatentChannelConfig,
    LatentsName,
    NetworkConfig,
    Range,
    Rate,
    TokenChannelConfig,
    TrainingConfig,
    Weight,
)

LEAST_WEIGHT = 1e-6  # of all losses together


class BaselineConfig(Block):
    """A model without latents."""

    family: Literal["mdlm", "ar"]
    data: Key
    token_channel: TokenChannelConfig | None = None  # null for ar
    network: NetworkConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _check(self) -> BaselineConfig:
        if (self.family == "mdlm") != (self.token_channel is not None):
            raise ValueError("token_channel must be given for mdlm and null for ar")
        return self


class LatentDenoiserConfig(Block):
    """Latent denoiser of sequential Co-LADD: never sees the tokens."""

    schedule: GaussianName
    network: NetworkConfig


class ModelConfig(Block):
    """Stage 2: a latent-augmented model on frozen latents, from the Stage 1 weights where there are some."""

    family: Literal["co-ladd", "di-ladd"]
    data: Key
    latents: LatentsName
    network: NetworkConfig  # of the denoiser; that of Stage 1 where the latents are learned
    token_weight: Weight = 1.0  # lambda_x
    latent_weight: Weight = 1.0  # lambda_z
    # Of t_z in training; a model for the sequential schedule alone needs no noisy latents.
    latent_noise: Range = Field(default=[0.0, 1.0])
    # Share of sequences at t_x = 1, for the latent loss alone: the sequential schedule draws there.
    latents_first: Rate = 0.0
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)
    latent_channel: LatentChannelConfig
    latent_denoiser: LatentDenoiserConfig | None = None
    training: TrainingConfig

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.family == "di-ladd" and self.latent_denoiser is not None:
            raise ValueError("latent_denoiser must be null: Di-LADD draws its codes with the denoiser itself")
        low, high = self.latent_noise
        if low > high:
            raise ValueError(f"latent_noise {self.latent_noise} must be [low, high] with low <= high")
        if self.family == "di-ladd" and self.latent_noise != [0.0, 1.0]:
            raise ValueError(f"latent_noise {self.latent_noise} must be [0.0, 1.0] for di-ladd: codes start masked")
        if self.latent_channel.times == "shared" and self.latent_noise != [0.0, 1.0]:
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
