"""What all blocks of params.yaml share: value types, and networks, training and channels that several blocks hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Range = Annotated[list[Fraction], Field(min_length=2, max_length=2)]  # [low, high]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")]  # DVC splits the names of parameters at dots
# The latents of a model: KEY of Stage 1 or of a codebook, or ENCODER/VIEW of a frozen encoder.
LatentsName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*(/[A-Za-z0-9][A-Za-z0-9-]*)?$")]
MaskedName = Literal["linear", "polynomial", "geometric", "cosine"]
GaussianName = Literal["linear", "cosine", "sqrt"]
Precision = Literal["float64", "float32"]


class Block(BaseModel):
    """A block of params.yaml: unknown keys and wrong types are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ComputeConfig(Block):
    """Where to compute. The results depend on it through the order of floating-point sums."""

    device: Literal["cpu", "cuda"]
    threads: Count  # of torch on a CPU


class NetworkConfig(Block):
    """Size of a transformer (paper, Table 10)."""

    width: Count  # d
    layers: Count
    heads: Count
    condition: Count  # width of the time conditioning
    dropout: Rate
    gate: Fraction  # of the residual branches before training; 0 is adaLN-Zero
    rope_base: Annotated[float, Field(gt=1)]  # wavelengths of RoPE: 2 pi to 2 pi base positions

    @model_validator(mode="after")
    def _check(self) -> NetworkConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 2 x heads = {2 * self.heads}: RoPE turns pairs")
        return self


class ExecutorConfig(Block):
    """Where a training runs, and how a step is computed.

    What is computed stays the same but for rounding and for dropout: masks are drawn per worker and micro-batch.
    """

    kind: Literal["inline", "ray"]  # in the process of the stage, or in workers that Ray starts
    workers: Count  # of ray; where the device is cuda, each has a GPU of its own
    micro_batch: Count | None  # sequences per forward pass of a worker; gradients add up to the batch. null: all
    sharding: Literal["ddp", "fsdp"]  # what workers hold: the whole model, or a part of each parameter
    precision: Literal["float32", "bfloat16"]  # of matrix products (autocast); weights and losses stay in float32
    compile: bool  # transformer blocks, by torch.compile
    recompute: bool  # activations of transformer blocks, in the backward pass, in place of keeping them

    @model_validator(mode="after")
    def _check(self) -> ExecutorConfig:
        if self.kind == "inline" and self.workers != 1:
            raise ValueError(f"workers {self.workers} must be 1 with kind inline; more of them need kind ray")
        return self


class TrainingConfig(Block):
    """One run of the training loop."""

    steps: Count
    batch: Count  # sequences per step
    learning_rate: Positive
    weight_decay: NonNegative
    warmup: Annotated[int, Field(ge=0)]  # steps of linear warm-up
    decay: Literal["constant", "cosine"]  # learning rate after the warm-up
    clip: Positive  # gradient norm
    ema: Rate  # decay of the weight average
    validate_every: Count  # steps
    checkpoint_every: Count  # steps
    keep: Count  # checkpoints whose averaged weights are kept: the last ones, and the best besides
    executor: ExecutorConfig

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        share, remainder = divmod(self.batch, self.executor.workers)
        if remainder:
            raise ValueError(f"batch {self.batch} must be a multiple of executor.workers {self.executor.workers}")
        if self.executor.micro_batch and share % self.executor.micro_batch:
            raise ValueError(
                f"executor.micro_batch {self.executor.micro_batch} must divide the {share} sequences of a worker "
                f"(batch {self.batch}, {self.executor.workers} workers)"
            )
        if self.warmup >= self.steps:
            raise ValueError(f"warmup {self.warmup} must be below steps {self.steps}")
        if self.checkpoint_every % self.validate_every:
            raise ValueError(
                f"checkpoint_every {self.checkpoint_every} must be a multiple of validate_every {self.validate_every}: "
                "a checkpoint must not cut a row of averaged losses in two"
            )
        return self


class TokenChannelConfig(Block):
    """Masked diffusion of the tokens."""

    schedule: MaskedName
    weight: Literal["elbo", "constant"]  # of the training loss; reported bounds always use the ELBO weight
    timed: bool  # whether the token denoiser is told t_x
    warp: Annotated[float, Field(ge=1)]  # training times t = u^warp, importance-weighted


class LatentChannelConfig(Block):
    """Diffusion of the latents, and the times that the denoiser is trained on."""

    schedule: Literal[MaskedName, GaussianName]
    times: Literal["independent", "shared"]  # t_z drawn apart from t_x, or equal to it
    dropout: Rate  # p_cf: sequences whose latent is the null latent (Co-LADD)
