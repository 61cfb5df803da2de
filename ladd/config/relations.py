"""Checks of params.yaml that need more than one block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ladd.config.evaluation import GivenConfig, SweepConfig
from ladd.config.models import SystemSettings
from ladd.config.suite import Suite

# Rows of results have the key of a sweep in their column "model", or such a name and the key of a data set.
REFERENCES = ("bigram", "exact", "oracle", "real", "reference", "shuffled", "unigram")


class Relations:
    """Each check raises ValueError with the key, the value and what is allowed."""

    def __init__(self, suite: Suite):
        self.suite = suite

    def check(self) -> None:
        suite = self.suite
        if both := suite.baselines.keys() & suite.models.keys():
            raise ValueError(f"models.{min(both)}: the name is taken by baselines.{min(both)}; rename one")
        if both := suite.latents.keys() & (suite.codebooks.keys() | suite.encoders.keys()):
            raise ValueError(f"latents.{min(both)}: the name is taken by codebooks or encoders; rename one")
        if both := suite.codebooks.keys() & suite.encoders.keys():
            raise ValueError(f"codebooks.{min(both)}: the name is taken by encoders.{min(both)}; rename one")
        self._check_latents()
        for key, prior in suite.priors.items():
            self._find(f"priors.{key}.latents", self._latents_data(), prior.latents)
            if suite.latent_shape(prior.latents).codebook is not None:
                raise ValueError(f"priors.{key}.latents: {prior.latents!r} is discrete; a prior draws vectors")
        for key, baseline in suite.baselines.items():
            self._check_system(f"baselines.{key}", baseline, with_latents=False)
        for key, model in suite.models.items():
            self._check_system(f"models.{key}", model, with_latents=True)
        for key, sweep in suite.sweeps.items():
            self._check_name(f"sweeps.{key}", key)
            self._check_sweep(f"sweeps.{key}", sweep)
        self._check_precision()
        self._check_evaluation()

    def _find(self, key: str, block: dict, name: str) -> Any:
        if name not in block:
            raise ValueError(f"{key}: {name!r} is not defined; known are {sorted(block)}")
        return block[name]

    def _check_latents(self) -> None:
        suite = self.suite
        for key, latents in suite.latents.items():
            data = self._find(f"latents.{key}.data", suite.data, latents.data)
            self._check_length(f"latents.{key}.length", latents.length, data.tokens)
        for key, encoder in suite.encoders.items():
            data = self._find(f"encoders.{key}.data", suite.data, encoder.data)
            if not data.task.reads_text:
                raise ValueError(f"encoders.{key}.data: {encoder.data!r} is {data.kind}; a text encoder needs text")
            for name, view in encoder.views.items():
                place = f"encoders.{key}.views.{name}.length"
                self._check_length(place, view.length, data.tokens)
                if view.pooling == "aligned" and view.length != data.tokens:
                    raise ValueError(f"{place}: aligned latents need L = N = {data.tokens}, not {view.length}")
        for key, codebook in suite.codebooks.items():
            self._find_view(f"codebooks.{key}.latents", codebook.latents)

    def _check_length(self, key: str, length: int, tokens: int) -> None:
        if length > tokens:
            raise ValueError(f"{key}: L = {length} must be at most N = {tokens}")

    def _views(self) -> dict[str, str]:
        """Data behind each ENCODER/VIEW."""
        return {f"{key}/{view}": encoder.data for key, encoder in self.suite.encoders.items() for view in encoder.views}

    def _find_view(self, key: str, name: str) -> str:
        return self._find(key, self._views(), name)

    def _check_system(self, key: str, model: SystemSettings, *, with_latents: bool) -> None:
        suite = self.suite
        if model.system.uses_latents != with_latents:
            kind = "without" if with_latents else "with"
            raise ValueError(f"{key}.family: {model.family!r} is a system {kind} latents, move it to the other block")
        self._find(f"{key}.data", suite.data, model.data)
        shape = learned = None
        if model.latents_name is not None:
            data = self._find(f"{key}.latents", self._latents_data(), model.latents_name)
            if model.data != data:
                raise ValueError(f"{key}.data: {model.data!r} differs from {data!r}, the data of its latents")
            shape, learned = suite.latent_shape(model.latents_name), suite.latents.get(model.latents_name)
        with _at(key):
            model.system.check(model, shape, learned)

    def _latents_data(self) -> dict[str, str]:
        """Data behind all latents."""
        suite = self.suite
        return {
            **{name: latents.data for name, latents in suite.latents.items()},
            **{name: self._find_view(name, codebook.latents) for name, codebook in suite.codebooks.items()},
            **self._views(),
        }

    def _check_name(self, key: str, sweep: str) -> None:
        prefix, _, data = sweep.partition("-")
        if prefix in REFERENCES and data in self.suite.data:
            raise ValueError(f"{key}: the name is that of the {prefix} rows of data.{data}; rename the sweep")

    def _check_sweep(self, key: str, sweep: SweepConfig) -> None:
        suite = self.suite
        names = {**suite.baselines, **suite.models}
        model = self._find(f"{key}.model", names, sweep.model)
        if sweep.data != model.data:
            raise ValueError(f"{key}.data: {sweep.data!r} differs from {model.data!r}, the data of its model")
        data = suite.data[model.data]
        samplers = model.system.samplers(model)
        if sweep.schedule not in samplers:
            allowed = " or ".join(map(repr, samplers))
            raise ValueError(f"{key}.schedule: {sweep.schedule!r} for {model.family}; allowed is {allowed}")
        self._check_prior(f"{key}.prior", sweep, model)
        budgets = {f"{key}.token_steps": sweep.token_steps}
        if sweep.frontier is not None:
            budgets[f"{key}.frontier.token_steps"] = sweep.frontier.token_steps
        for place, steps in budgets.items():
            if model.system.left_to_right and steps != [data.tokens]:
                raise ValueError(
                    f"{place}: {steps}; {model.family} takes N = {data.tokens} steps, write [{data.tokens}]"
                )
            self._check_steps(place, steps, data.tokens)
        with _at(key):
            model.system.check_sweep(model, sweep)
        self._check_given(key, sweep, model)
        reference = suite.evaluation_of(sweep.data).reference
        for name in ("samples", "seeds"):
            if getattr(sweep, name) != getattr(reference, name):
                raise ValueError(
                    f"{key}.{name}: {getattr(sweep, name)} must equal evaluation.reference.{name}, "
                    f"{getattr(reference, name)}: the distance of two sets and its floor depend on their size"
                )

    def _check_precision(self) -> None:
        """Samples of two precisions must not stand in one table, and sweeps with the same given tokens do."""
        first: dict[GivenConfig | None, tuple[str, SweepConfig]] = {}
        for key, sweep in self.suite.sweeps.items():
            other, known = first.setdefault(sweep.given, (key, sweep))
            if sweep.precision != known.precision:
                raise ValueError(
                    f"sweeps.{key}.precision: {sweep.precision!r} must equal that of sweeps.{other}, "
                    f"{known.precision!r}: their samples are compared; another precision needs a suite of its own"
                )

    def _check_prior(self, key: str, sweep: SweepConfig, model: SystemSettings) -> None:
        suite = self.suite
        if not model.system.needs_prior(model, sweep.schedule):
            if sweep.prior is not None:
                raise ValueError(f"{key}: {sweep.prior!r}; {model.family} draws no latents from it here, write null")
            return
        fitting = suite.priors_of(model.latents_name)
        if sweep.prior not in fitting:
            raise ValueError(
                f"{key}: {sweep.prior!r} draws no latents {model.latents_name!r}, which the {sweep.schedule} schedule "
                f"starts with; those of `priors` that do are {fitting}"
            )

    def _check_given(self, key: str, sweep: SweepConfig, model: SystemSettings) -> None:
        if sweep.given is None:
            return
        data = self.suite.data[sweep.data]
        if not data.task.given:
            raise ValueError(f"{key}.given: {sweep.given.kind!r}; {sweep.data!r} is drawn whole, write null")
        if not 1 <= (count := round(sweep.given.share * data.tokens)) < data.tokens:
            raise ValueError(f"{key}.given.share: {sweep.given.share} gives {count} of N = {data.tokens} tokens")
        if model.system.left_to_right and sweep.given.kind != "prefix":
            raise ValueError(
                f"{key}.given.kind: {sweep.given.kind!r}; {model.family} goes from left to right, it needs 'prefix'"
            )

    def _check_evaluation(self) -> None:
        suite = self.suite
        if isinstance(suite.evaluation, dict) and suite.evaluation.keys() != suite.data.keys():
            known = sorted(suite.data)
            raise ValueError(f"evaluation: {sorted(suite.evaluation)}; write one block, or one for each of {known}")
        for name, data in suite.data.items():
            kind = suite.evaluation_of(name).kind
            if data.kind != kind:
                raise ValueError(f"evaluation.kind: {kind!r} cannot measure data.{name}, a {data.kind}")
            task = data.task(suite, name)
            task.metrics()
            task.check()

    def _check_steps(self, key: str, steps: list[int], tokens: int) -> None:
        if max(steps) > tokens:
            raise ValueError(f"{key}: {max(steps)} must be at most N = {tokens}")


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Put the key of a block before the setting that an error of its system or sampler begins with."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{key}.{error}") from None
