"""params.yaml as frozen typed classes, one per block. Everything is checked before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ladd.errors import ConfigError

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Range = Annotated[list[Fraction], Field(min_length=2, max_length=2)]  # [low, high]
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]  # DVC splits the names of parameters at dots
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


class DataConfig(Block):
    """The binary sawtooth (paper, Section E.1)."""

    kind: Literal["sawtooth"]
    tokens: Count  # N
    periods: Count  # P
    floor: Annotated[float, Field(ge=0, lt=0.5)]  # e, the smallest probability of a 1
    train: Count  # sequences
    validation: Count
    reference: Count  # real sequences that samples are compared with

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return 2


class NetworkConfig(Block):
    """Size of a transformer (paper, Table 10)."""

    width: Count  # d
    layers: Count
    heads: Count
    condition: Count  # width of the time conditioning
    dropout: Rate
    rope_base: Annotated[float, Field(gt=1)]  # wavelengths of RoPE: 2 pi to 2 pi base positions

    @model_validator(mode="after")
    def _check(self) -> NetworkConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 2 x heads = {2 * self.heads}: RoPE turns pairs")
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

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
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


class LatentsConfig(Block):
    """Stage 1: what the latents are and the networks that learn them."""

    data: Key
    kind: Literal["continuous", "discrete"]
    length: Count  # L
    width: Count  # w
    codebook: int | None  # K, the mask excluded (discrete only)
    quantise_after: Annotated[int, Field(ge=0)]  # steps of Stage 1 before the quantiser starts (discrete only)
    unit_variance: bool  # latent vectors of norm sqrt(w) instead of 1
    token_noise: Range  # of t_x in Stage 1
    latent_noise: Range  # of t_z in Stage 1
    token_channel: TokenChannelConfig
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
        if self.quantise_after >= self.training.steps or (self.quantise_after and not discrete):
            raise ValueError(
                f"quantise_after {self.quantise_after} must be below training.steps {self.training.steps}, "
                "and 0 for continuous latents"
            )
        for name in ("token_noise", "latent_noise"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} {[low, high]} must be [low, high] with low <= high")
        return self


class BaselineConfig(Block):
    """A model without latents."""

    family: Literal["mdlm", "ar"]
    data: Key
    token_channel: TokenChannelConfig | None  # null for ar
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
    """Stage 2: a latent-augmented model on frozen latents, from the Stage 1 weights."""

    family: Literal["co-ladd", "di-ladd"]
    data: Key
    latents: Key
    token_weight: NonNegative  # lambda_x
    latent_weight: NonNegative  # lambda_z
    latents_first: Rate  # share of sequences trained at t_x = 1, where the sequential schedule draws its latents
    token_channel: TokenChannelConfig
    latent_channel: LatentChannelConfig
    latent_denoiser: LatentDenoiserConfig | None
    training: TrainingConfig

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.family == "di-ladd" and self.latent_denoiser is not None:
            raise ValueError("latent_denoiser must be null: Di-LADD draws its codes with the denoiser itself")
        return self


class SweepConfig(Block):
    """Samples of one model under one inference schedule, over step budgets and seeds."""

    model: Key
    data: Key
    schedule: Literal["joint", "sequential", "none"]
    token_steps: Annotated[list[Count], Field(min_length=1)]
    latent_steps: Annotated[int, Field(ge=0)]  # sequential only, else 0
    token_lag: Annotated[float, Field(ge=1)]  # token grid t_x = u^(1/lag), u uniform: above 1, few tokens come first
    latent_lead: Annotated[float, Field(ge=1)]  # joint: the latents' clock runs ahead, t_z = t_x^lead; else 1
    eta: Fraction  # DDIM stochasticity
    temperature: Positive
    precision: Precision
    samples: Annotated[int, Field(ge=2)]  # per seed
    seeds: Annotated[list[int], Field(min_length=1)]
    batch: Count  # samples computed at a time; does not change them

    @model_validator(mode="after")
    def _check(self) -> SweepConfig:
        if (self.schedule == "sequential") != (self.latent_steps > 0):
            raise ValueError(
                f"latent_steps {self.latent_steps}: schedule {self.schedule!r} needs "
                + ("at least 1" if self.schedule == "sequential" else "0")
            )
        if self.latent_lead != 1 and self.schedule != "joint":
            raise ValueError(f"latent_lead {self.latent_lead}: schedule {self.schedule!r} needs 1")
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.token_steps)) < len(self.token_steps):
            raise ValueError(f"seeds {self.seeds} and token_steps {self.token_steps} must not repeat a value")
        return self


class ReferenceConfig(Block):
    """Samples of the exact posterior denoiser and of the data itself, measured like those of a model."""

    token_steps: Annotated[list[Count], Field(min_length=1)]
    samples: Annotated[int, Field(ge=2)]  # per seed; those of the sweeps, to be comparable
    seeds: Annotated[list[int], Field(min_length=1)]
    batch: Count


class EvaluationConfig(Block):
    """How samples and models are measured."""

    directions: Count  # of the sliced Wasserstein distance
    time_draws: Count  # per sequence, of the likelihood bounds
    sequences: Count  # validation sequences of the bounds
    grid: Count  # quadrature points of the exact references
    batch: Count
    reference: ReferenceConfig


class Suite(Block):
    """A whole params.yaml."""

    root: str  # path from the suite's folder to the repository
    suite: Key
    seed: int
    compute: ComputeConfig
    data: dict[Key, DataConfig]
    latents: dict[Key, LatentsConfig]
    baselines: dict[Key, BaselineConfig]
    models: dict[Key, ModelConfig]
    sweeps: dict[Key, SweepConfig]
    evaluation: EvaluationConfig

    @model_validator(mode="after")
    def _check(self) -> Suite:
        _Relations(self).check()
        return self

    def model(self, key: str) -> BaselineConfig | ModelConfig:
        """The baseline or model of that name."""
        return self.baselines[key] if key in self.baselines else self.models[key]


class _Relations:
    """Checks that need more than one block."""

    def __init__(self, suite: Suite):
        self.suite = suite

    def check(self) -> None:
        suite = self.suite
        if both := suite.baselines.keys() & suite.models.keys():
            raise ValueError(f"models.{min(both)}: the name is taken by baselines.{min(both)}; rename one")
        for key, latents in suite.latents.items():
            data = self._find(f"latents.{key}.data", suite.data, latents.data)
            if latents.length > data.tokens:
                raise ValueError(f"latents.{key}.length: L = {latents.length} must be at most N = {data.tokens}")
        for key, baseline in suite.baselines.items():
            self._find(f"baselines.{key}.data", suite.data, baseline.data)
        for key, model in suite.models.items():
            self._check_model(f"models.{key}", model)
        for key, sweep in suite.sweeps.items():
            self._check_sweep(f"sweeps.{key}", sweep)
        self._check_evaluation()

    def _find(self, key: str, block: dict, name: str) -> Any:
        if name not in block:
            raise ValueError(f"{key}: {name!r} is not defined; known are {sorted(block)}")
        return block[name]

    def _check_model(self, key: str, model: ModelConfig) -> None:
        latents = self._find(f"{key}.latents", self.suite.latents, model.latents)
        self._find(f"{key}.data", self.suite.data, model.data)
        if model.data != latents.data:
            raise ValueError(f"{key}.data: {model.data!r} differs from {latents.data!r}, the data of its latents")
        kind = {"co-ladd": "continuous", "di-ladd": "discrete"}[model.family]
        if latents.kind != kind:
            raise ValueError(f"{key}.latents: {model.family} needs {kind} latents, {model.latents!r} is {latents.kind}")
        channel, allowed = model.latent_channel, list(get_args(MaskedName if kind == "discrete" else GaussianName))
        if channel.schedule not in allowed:
            raise ValueError(
                f"{key}.latent_channel.schedule: {channel.schedule!r} is not for {kind} latents; allowed are {allowed}"
            )
        if kind == "discrete" and channel.dropout:
            raise ValueError(
                f"{key}.latent_channel.dropout: {channel.dropout} must be 0 for di-ladd: a masked code is its null"
            )
        if model.latent_channel.schedule != latents.latent_channel.schedule:
            raise ValueError(
                f"{key}.latent_channel.schedule: {model.latent_channel.schedule!r} must be that of "
                f"latents.{model.latents}, its Stage 1, {latents.latent_channel.schedule!r}"
            )
        if model.token_channel.timed != latents.token_channel.timed:
            raise ValueError(
                f"{key}.token_channel.timed: {model.token_channel.timed} must equal that of latents.{model.latents}, "
                f"its Stage 1, which is {latents.token_channel.timed}"
            )

    def _check_sweep(self, key: str, sweep: SweepConfig) -> None:
        suite = self.suite
        names = {**suite.baselines, **suite.models}
        model = self._find(f"{key}.model", names, sweep.model)
        if sweep.data != model.data:
            raise ValueError(f"{key}.data: {sweep.data!r} differs from {model.data!r}, the data of its model")
        data = suite.data[model.data]
        if isinstance(model, BaselineConfig) != (sweep.schedule == "none"):
            allowed = "'none'" if isinstance(model, BaselineConfig) else "'joint' or 'sequential'"
            raise ValueError(f"{key}.schedule: {sweep.schedule!r} for {model.family}; allowed is {allowed}")
        if model.family == "ar" and sweep.token_steps != [data.tokens]:
            raise ValueError(
                f"{key}.token_steps: {sweep.token_steps}; ar takes N = {data.tokens} steps, write [{data.tokens}]"
            )
        if model.family == "co-ladd" and sweep.schedule == "sequential" and model.latent_denoiser is None:
            raise ValueError(
                f"{key}.schedule: sequential Co-LADD needs a latent denoiser, but "
                f"models.{sweep.model}.latent_denoiser is null"
            )
        if sweep.eta and (model.family != "co-ladd"):
            raise ValueError(f"{key}.eta: {sweep.eta}; only co-ladd takes DDIM steps, others need 0")
        reference = suite.evaluation.reference
        for name in ("samples", "seeds"):
            if getattr(sweep, name) != getattr(reference, name):
                raise ValueError(
                    f"{key}.{name}: {getattr(sweep, name)} must equal evaluation.reference.{name}, "
                    f"{getattr(reference, name)}: the distance of two sets and its floor depend on their size"
                )
        self._check_steps(f"{key}.token_steps", sweep.token_steps, data)

    def _check_evaluation(self) -> None:
        evaluation = self.suite.evaluation
        reference = evaluation.reference
        for name, data in self.suite.data.items():
            if 2 * reference.samples * len(reference.seeds) > data.reference:
                raise ValueError(
                    f"evaluation.reference.samples: {reference.samples} samples x {len(reference.seeds)} seeds need "
                    f"twice as many real sequences (model and floor), data.{name}.reference is {data.reference}"
                )
            if evaluation.sequences > data.validation:
                raise ValueError(
                    f"evaluation.sequences: {evaluation.sequences} must be at most data.{name}.validation, "
                    f"{data.validation}"
                )
            self._check_steps("evaluation.reference.token_steps", reference.token_steps, data)

    def _check_steps(self, key: str, steps: list[int], data: DataConfig) -> None:
        if max(steps) > data.tokens:
            raise ValueError(f"{key}: {max(steps)} must be at most N = {data.tokens}")


def _describe(error: ValidationError, path: Path) -> str:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key; remove it or correct its name"
        elif item["type"] != "value_error" and item["type"] != "missing":
            message = f"{item['input']!r}: {message}"
        lines.append(f"  {key}: {message}" if key else f"  {message}")
    return f"{path} is not valid:\n" + "\n".join(lines)


def load_suite(path: str | os.PathLike = "params.yaml") -> Suite:
    """Read and check a suite.

    Raises:
        ConfigError: naming the file, the key, the value and what is allowed.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path.absolute()} does not exist; run from the folder of a suite") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_describe(error, path)) from None
