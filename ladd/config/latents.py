"""Latents: learned in Stage 1, or those of a frozen text encoder, with or without a codebook."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from ladd.config.blocks import (
    Batch,
    Block,
    Count,
    Fraction,
    GaussianName,
    Key,
    LatentChannelConfig,
    LatentsName,
    MaskedName,
    NetworkConfig,
    Range,
    Size,
    Text,
    TokenChannelConfig,
    TrainingConfig,
)
from ladd.config.data import AssetConfig

MOST_CODES = 2**24
LEAST_NOISE = 1e-3  # of the most noised tokens of Stage 1; with less, hardly ever one is masked, and nothing is learned


class LatentShape(NamedTuple):
    """What a model needs to know of its latents."""

    length: int  # L
    width: int  # w
    codebook: int | None  # K, None for continuous latents
    unit_variance: bool

    @property
    def scale(self) -> float:
        """Norm of the latent vectors: sqrt(w) gives coordinates of unit variance."""
        return self.width**0.5 if self.unit_variance else 1.0


class LatentsConfig(Block):
    """Stage 1: what the latents are and the networks that learn them."""

    data: Key
    kind: Literal["continuous", "discrete"]
    length: Count  # L
    width: Size  # w
    codebook: Annotated[int, Field(le=MOST_CODES)] | None = None  # K, the mask excluded (discrete only)
    quantise_after: Annotated[int, Field(ge=0)] = 0  # steps of Stage 1 before the quantiser starts (discrete only)
    unit_variance: bool = True  # latent vectors of norm sqrt(w) instead of 1
    token_noise: Range = Field(default=[0.0, 1.0])  # of t_x in Stage 1
    latent_noise: Range = Field(default=[0.0, 1.0])  # of t_z in Stage 1
    token_channel: TokenChannelConfig = Field(default_factory=TokenChannelConfig)
    latent_channel: LatentChannelConfig
    encoder: NetworkConfig
    denoiser: NetworkConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _check(self) -> LatentsConfig:
        discrete = self.kind == "discrete"
        if discrete and (self.codebook is None or self.codebook < 2):
            raise ValueError(f"codebook is {self.codebook}: discrete latents need K of at least 2")
        if not discrete and self.codebook is not None:
            raise ValueError(f"codebook is {self.codebook}: continuous latents have none, set it to null")
        allowed = list(get_args(MaskedName if discrete else GaussianName))
        if self.latent_channel.schedule not in allowed:
            raise ValueError(
                f"latent_channel.schedule {self.latent_channel.schedule!r} is not one of {allowed}, "
                f"the schedules of {self.kind} latents"
            )
        if discrete and self.latent_channel.dropout:
            dropout = self.latent_channel.dropout
            raise ValueError(f"latent_channel.dropout {dropout} must be 0: masked codes already train the null latent")
        if discrete and self.training.executor.micro_batch:
            raise ValueError(
                f"training.executor.micro_batch {self.training.executor.micro_batch} must be null for discrete "
                "latents: the codebook moves once per step, by the whole batch"
            )
        if self.quantise_after >= self.training.steps or (self.quantise_after and not discrete):
            raise ValueError(
                f"quantise_after {self.quantise_after} must be below training.steps {self.training.steps}, "
                "and 0 for continuous latents"
            )
        for name in ("token_noise", "latent_noise"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} {[low, high]} must be [low, high] with low <= high")
        if self.token_noise[1] < LEAST_NOISE:
            raise ValueError(
                f"token_noise {self.token_noise} masks no token; its high end must be {LEAST_NOISE} or more"
            )
        return self

    @property
    def shape(self) -> LatentShape:
        """Of the latents that it makes."""
        return LatentShape(self.length, self.width, self.codebook, self.unit_variance)


class ViewConfig(Block):
    """Latents (L, w) made of the token states of a frozen encoder (paper, Appendix D)."""

    length: Count  # L
    width: Size  # w
    # Aligned: one latent per token, L = N. Adaptive: means over contiguous chunks; keep_eos keeps the last state alone.
    pooling: Literal["aligned", "adaptive", "adaptive_keep_eos"]
    reduction: Literal["truncate", "pca"]  # the first w coordinates (Matryoshka encoders), or principal axes
    unit_variance: bool = True  # latent vectors of norm sqrt(w) instead of 1

    @property
    def shape(self) -> LatentShape:
        """Of the latents that it makes."""
        return LatentShape(self.length, self.width, None, self.unit_variance)


class EncoderConfig(Block):
    """A frozen pretrained encoder: it runs once over the data, whatever the number of views."""

    data: Key
    asset: AssetConfig
    folder: Text  # of the model within the asset
    batch: Batch  # blocks at a time
    fit: Count = 4096  # training blocks that principal axes are fitted on
    views: Annotated[dict[Key, ViewConfig], Field(min_length=1)]


class PriorConfig(Block):
    """A model of continuous latents alone, which sequential schedules draw them from."""

    latents: LatentsName
    schedule: GaussianName  # of the latents' noise
    network: NetworkConfig
    training: TrainingConfig


class StudentConfig(PriorConfig):
    """A prior that was distilled from another: it predicts where the path of its teacher ends, in few passes."""

    teacher: Key  # another prior of these latents
    teacher_steps: Annotated[int, Field(ge=1, le=10_000)] = 16  # T of the path, on an even grid
    from_noise: Fraction = 0.5  # share of sequences at t = 1, where every sample begins; the others are spread evenly


def of_prior(values: Any, _: Any) -> Any:
    """A prior, or one with a teacher."""
    if isinstance(values, PriorConfig):
        return values
    student = isinstance(values, dict) and values.get("teacher") is not None
    return (StudentConfig if student else PriorConfig).model_validate(values)


class CodebookConfig(Block):
    """A codebook fitted on the latents of a frozen encoder: Stage 1 of Di-LADD on text."""

    latents: LatentsName  # ENCODER/VIEW
    codebook: Annotated[int, Field(ge=2, le=MOST_CODES)]  # K, the mask excluded
    steps: Count
    batch: Batch  # sequences per step
