"""Sampling sweeps, and how samples and models are measured."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from ladd.config.blocks import (
    Batch,
    Block,
    Count,
    Fraction,
    Key,
    Power,
    Precision,
    Seed,
    Several,
    Temperature,
    Text,
)
from ladd.config.data import AssetConfig
from ladd.config.named import by_name

Budgets = Annotated[list[Count], Field(min_length=1, max_length=1000)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000)]
Samples = Annotated[int, Field(ge=2, le=2**24)]  # per seed


def shortest(value: float) -> str:
    """A number in names, such as 0.7 or 1: up to six digits, or as many as tell it from every other number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


class FrontierConfig(Block):
    """Extra points of a sweep, over temperatures, for the trade between quality and diversity."""

    token_steps: Budgets
    temperatures: Annotated[list[Temperature], Field(min_length=1, max_length=1000)]


class GivenConfig(Block):
    """Tokens of validation sequences that a sampler is given and keeps."""

    kind: Literal["prefix", "random"]  # the first positions, or a random set of them on every row
    share: Annotated[float, Field(gt=0, lt=1)]  # of the N positions

    @property
    def name(self) -> str:
        """As result rows have it, such as prefix-0.25."""
        return f"{self.kind}-{shortest(self.share)}"


class SweepPoint(Block):
    """One setting of the sampler within a sweep."""

    token_steps: int
    temperature: float

    @property
    def name(self) -> str:
        """For files, one point at one seed being one file."""
        return f"steps-{self.token_steps}-temperature-{shortest(self.temperature)}"


class SweepConfig(Block):
    """Samples of one model under one inference schedule, over step budgets and seeds."""

    model: Key
    data: Key
    schedule: Key = "none"  # name of a sampler; "none" is that of a model without latents
    token_steps: Budgets
    latent_steps: Annotated[int, Field(ge=0, le=100_000)] = 0  # sequential only, else 0
    frontier: FrontierConfig | None = None  # more points, at other temperatures
    given: GivenConfig | None = None  # null: every token is drawn
    token_lag: Power = 1.0  # token grid t_x = u^(1/lag), u uniform: above 1, few tokens come first
    latent_lead: Power = 1.0  # joint: the latents' clock runs ahead, t_z = t_x^lead; else 1
    eta: Fraction = 0.0  # DDIM stochasticity
    temperature: Temperature = 1.0
    precision: Precision = "float64"
    samples: Samples
    seeds: Seeds

    @model_validator(mode="after")
    def _check(self) -> SweepConfig:
        if len(set(self.seeds)) < len(self.seeds) or len(set(self.token_steps)) < len(self.token_steps):
            raise ValueError(f"seeds {self.seeds} and token_steps {self.token_steps} must not repeat a value")
        if len(set(self.points)) < len(self.points):
            raise ValueError(f"frontier {self.frontier} repeats a point: one of its own, or one at {self.temperature}")
        return self

    @property
    def points(self) -> list[SweepPoint]:
        """Every setting that is sampled, each at all seeds."""
        points = [SweepPoint(token_steps=steps, temperature=self.temperature) for steps in self.token_steps]
        if self.frontier is not None:
            steps, temperatures = self.frontier.token_steps, self.frontier.temperatures
            points += [SweepPoint(token_steps=k, temperature=t) for k in steps for t in temperatures]
        return points


def _of_sampler(values: Any, validate: ValidatorFunctionWrapHandler) -> SweepConfig:
    """A sweep as its sampler wants it: some have more settings than others."""
    if isinstance(values, SweepConfig) or not isinstance(values, dict) or values.get("schedule", "none") == "none":
        return validate(values)
    base = import_module("ladd.samplers.base").Sampler  # it is above settings
    return by_name("ladd.samplers", base, "schedule", values).Settings.model_validate(values)


Sweep = Annotated[SerializeAsAny[SweepConfig], WrapValidator(_of_sampler)]


class ReferenceConfig(Block):
    """Samples of the exact posterior denoiser and of the data itself, measured like those of a model."""

    token_steps: Budgets
    samples: Samples  # those of the sweeps, to be comparable
    seeds: Seeds
    batch: Batch


class SawtoothEvaluationConfig(Block):
    """How samples and models of the sawtooth are measured."""

    kind: Literal["sawtooth"]
    directions: Annotated[int, Field(ge=2, le=100_000)]  # of the sliced Wasserstein distance
    time_draws: Annotated[int, Field(ge=1, le=10_000)]  # per sequence, of the likelihood bounds
    sequences: Several  # validation sequences of the bounds
    grid: Annotated[int, Field(ge=1, le=100_000)]  # quadrature points of the exact references
    batch: Batch
    reference: ReferenceConfig


class TeacherConfig(Block):
    """Autoregressive model that scores generated text."""

    asset: AssetConfig
    file: Text  # folder of the model, or its GGUF file, within the asset
    batch: Batch  # texts at a time
    window: Batch  # teacher tokens of a text that are scored


class FeaturesConfig(Block):
    """Encoder whose mean token state stands for a text in MAUVE."""

    asset: AssetConfig
    folder: Text
    batch: Batch


class TextReferenceConfig(Block):
    """Sets of real text that are measured like samples; the sizes are those of the sweeps."""

    samples: Samples
    seeds: Seeds


class TextEvaluationConfig(Block):
    """How samples and models of text are measured."""

    kind: Literal["text"]
    time_draws: Annotated[int, Field(ge=2, le=10_000)]  # per sequence, of the likelihood bounds
    sequences: Several  # validation sequences of the bounds
    zero_shot_sequences: Several  # at most so many of every other corpus
    batch: Batch
    teacher: TeacherConfig
    features: FeaturesConfig
    mauve_clusters: Annotated[int, Field(ge=2, le=2**20)]
    reference: TextReferenceConfig


EvaluationConfig = Annotated[SawtoothEvaluationConfig | TextEvaluationConfig, Field(discriminator="kind")]
