"""Sampling sweeps, and how samples and models are measured."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from ladd.config.blocks import Batch, Block, Count, Fraction, Key, Power, Precision, Seed, Several, Temperature, named

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
    prior: Key | None = None  # that draws continuous latents where they come first
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
    def inference(self) -> str:
        """Name of the inference schedule: of the settings that likelihood bounds depend on."""
        return self.schedule + ("" if self.latent_lead == 1 else f"-lead-{shortest(self.latent_lead)}")

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
    default = isinstance(values, dict) and values.get("schedule", "none") == "none"
    return (
        validate(values) if default or not isinstance(values, dict) else named("Sampler", "schedule")(values, validate)
    )


Sweep = Annotated[SerializeAsAny[SweepConfig], WrapValidator(_of_sampler)]


class ReferenceConfig(Block):
    """Sets of real sequences, and what else a task is held against, measured like the samples of a model."""

    samples: Samples  # those of the sweeps, to be comparable
    seeds: Seeds


class EvaluationConfig(Block):
    """How samples and models are measured; each task has a class of its own, chosen by `kind`."""

    kind: str  # name of the task
    time_draws: Annotated[int, Field(ge=1, le=10_000)]  # per sequence, of the likelihood bounds
    sequences: Several  # validation sequences of the bounds
    batch: Batch
    reference: ReferenceConfig
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)  # besides those of the task, with their settings
