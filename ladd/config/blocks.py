"""What all blocks of params.yaml share: value types, and networks, training and channels that several blocks hold."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, WrapValidator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from ladd.errors import nearest
from ladd.registry import discover

# Bounds are far from what a study wants: beyond them nothing is learned or drawn, or memory runs out, in silence.
MOST = 2**31 - 1
Count = Annotated[int, Field(ge=1, le=MOST)]
Several = Annotated[int, Field(ge=2, le=MOST)]  # of one there is no standard error
Size = Annotated[int, Field(ge=1, le=2**16)]  # of a vector or a network
Batch = Annotated[int, Field(ge=1, le=2**20)]  # what is in memory at a time
Workers = Annotated[int, Field(ge=1, le=1024)]  # threads or processes
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # a signed 64-bit integer in tables of results
Rate = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]
Power = Annotated[float, Field(ge=1, le=100)]  # that a time grid is bent with
Weight = Annotated[float, Field(ge=0, le=1e6)]  # of a loss
Range = Annotated[list[Fraction], Field(min_length=2, max_length=2)]  # [low, high]
Text = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]  # a name or path on one line
# DVC splits the names of parameters at dots; names of files and tracked runs are made of keys, so they are short.
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]
# The latents of a model: KEY of Stage 1 or of a codebook, or ENCODER/VIEW of a frozen encoder.
LatentsName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)?$", max_length=201)]
MaskedName = Literal["linear", "polynomial", "geometric", "cosine"]
GaussianName = Literal["linear", "cosine", "sqrt"]
Precision = Literal["float64", "float32"]


class Block(BaseModel):
    """A block of params.yaml: unknown keys, wrong types, infinities and NaN are errors, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def named(axis: str, field: str, attribute: str = "Settings") -> Callable[[Any, Any], Any]:
    """A validator that makes a block an object of the class it belongs to.

    Args:
        axis: name of the base class, such as "System" for ladd.systems.
        attribute: of what is registered under it, a class of blocks.
    """
    package = f"ladd.{axis.lower()}s"

    def validate(values: Any, _: Any) -> Any:
        if isinstance(values, Block):
            return values
        registered = discover(package, getattr(import_module(f"{package}.base"), axis))  # it is above settings
        name = values.get(field) if isinstance(values, dict) else None
        if isinstance(name, str) and name in registered:
            return getattr(registered[name], attribute).model_validate(values)
        wrong: Any = "missing" if isinstance(values, dict) else "dict_type"
        if isinstance(values, dict) and field in values:
            meant = nearest(name, registered)
            wrong = PydanticCustomError("not_registered", f"Input should be one of {sorted(registered)}{meant}")
        place = (field,) if isinstance(values, dict) else ()
        raise ValidationError.from_exception_data(field, [InitErrorDetails(type=wrong, loc=place, input=name)])

    return validate


class ComputeConfig(Block):
    """Where to compute. The results depend on it through the order of floating-point sums."""

    device: Literal["cpu", "cuda"]
    threads: Workers  # of torch on a CPU


class NetworkConfig(Block):
    """Size of a transformer (paper, Table 10)."""

    width: Size  # d
    layers: Annotated[int, Field(ge=1, le=1000)]
    heads: Size
    condition: Size  # width of the time conditioning
    dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    gate: Fraction = 0.0  # of the residual branches before training; 0 is adaLN-Zero
    rope_base: Annotated[float, Field(gt=1, le=1e9)] = 10000.0  # wavelengths of RoPE: 2 pi to 2 pi base positions

    @model_validator(mode="after")
    def _check(self) -> NetworkConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 2 x heads = {2 * self.heads}: RoPE turns pairs")
        return self


class ExecutorConfig(Block):
    """Where a training runs, and how a step is computed.

    What is computed stays the same but for rounding and for dropout: masks are drawn per worker and micro-batch.
    """

    kind: Literal["inline", "ray"] = "inline"  # in the process of the stage, or in workers that Ray starts
    workers: Workers = 1  # of ray; where the device is cuda, each has a GPU of its own
    micro_batch: Batch | None = None  # sequences per forward pass of a worker; gradients add up to the batch. null: all
    sharding: Literal["ddp", "fsdp"] = "ddp"  # what workers hold: the whole model, or a part of each parameter
    precision: Literal["float32", "bfloat16"] = (
        "float32"  # of matrix products (autocast); weights and losses stay in float32
    )
    compile: bool = False  # transformer blocks, by torch.compile
    recompute: bool = False  # activations of transformer blocks, in the backward pass, in place of keeping them

    @model_validator(mode="after")
    def _check(self) -> ExecutorConfig:
        if self.kind == "inline" and self.workers != 1:
            raise ValueError(f"workers {self.workers} must be 1 with kind inline; more of them need kind ray")
        return self


class AdamWConfig(Block):
    """AdamW for all parameters; its learning rate and weight decay are those of the training."""

    kind: Literal["adamw", "muon"] = "adamw"
    betas: Annotated[list[Rate], Field(min_length=2, max_length=2)] = Field(default=[0.9, 0.999])


class MuonConfig(AdamWConfig):
    """Muon for the matrices of the transformer blocks, and AdamW for the rest."""

    kind: Literal["muon"]
    rate: Annotated[float, Field(ge=1e-9, le=1)] = 0.02  # learning rate of Muon
    decay: Annotated[float, Field(ge=0, le=10)] = 0.0  # its weight decay
    momentum: Rate = 0.95

    @model_validator(mode="after")
    def _check(self) -> MuonConfig:
        if self.rate * self.decay >= 1:
            raise ValueError(
                f"rate {self.rate} x decay {self.decay} must be below 1: a step would turn the weights around"
            )
        return self


def _optimiser(values: Any, _: Any) -> Any:
    if isinstance(values, AdamWConfig):
        return values
    muon = isinstance(values, dict) and values.get("kind") == "muon"
    return (MuonConfig if muon else AdamWConfig).model_validate(values)


class TrainingConfig(Block):
    """One run of the training loop."""

    steps: Count
    batch: Batch  # sequences per step
    learning_rate: Annotated[float, Field(ge=1e-9, le=1)]
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    warmup: Annotated[int, Field(ge=0)] = 0  # steps of linear warm-up
    decay: Literal["constant", "cosine", "linear"] = "constant"  # learning rate after the warm-up
    cooldown: Annotated[float, Field(ge=1e-3, le=1)] = 0.2  # share of the steps, the last, that linear decay takes
    optimiser: Annotated[SerializeAsAny[AdamWConfig], WrapValidator(_optimiser)] = Field(default_factory=AdamWConfig)
    clip: Annotated[float, Field(ge=1e-3, le=1e9)] = 1.0  # gradient norm
    ema: Rate  # decay of the weight average
    validate_every: Count  # steps
    checkpoint_every: Count  # steps
    keep: Count = 8  # checkpoints whose averaged weights are kept: the last ones, and the best besides
    executor: ExecutorConfig = Field(default_factory=ExecutorConfig)

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
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError(
                f"learning_rate {self.learning_rate} x weight_decay {self.weight_decay} must be below 1: a step would "
                "turn the weights around"
            )
        if self.decay == "linear" and self.warmup > (1 - self.cooldown) * self.steps:
            raise ValueError(
                f"warmup {self.warmup} and cooldown {self.cooldown} overlap: together they must leave some of steps "
                f"{self.steps} at the full rate"
            )
        if self.checkpoint_every % self.validate_every:
            raise ValueError(
                f"checkpoint_every {self.checkpoint_every} must be a multiple of validate_every {self.validate_every}: "
                "a checkpoint must not cut a row of averaged losses in two"
            )
        return self


class TokenChannelConfig(Block):
    """Masked diffusion of the tokens."""

    schedule: MaskedName = "linear"
    weight: Literal["elbo", "constant"] = "elbo"  # of the training loss; reported bounds always use the ELBO weight
    timed: bool = False  # whether the token denoiser is told t_x
    warp: Annotated[float, Field(ge=1, le=10)] = 1.0  # training times t = u^warp, importance-weighted


class LatentChannelConfig(Block):
    """Diffusion of the latents, and the times that the denoiser is trained on."""

    schedule: Literal[MaskedName, GaussianName]
    times: Literal["independent", "shared"] = "independent"  # t_z drawn apart from t_x, or equal to it
    dropout: Rate = 0.0  # p_cf: sequences whose latent is the null latent (Co-LADD)
