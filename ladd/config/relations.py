"""Checks of params.yaml that need more than one block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from typing import Any

from ladd.config.claims import Quantity, quantities
from ladd.config.evaluation import GivenConfig, SweepConfig
from ladd.config.latents import StudentConfig
from ladd.config.models import SystemSettings
from ladd.config.replicates import OF_REPLICATE, TRAINED
from ladd.config.suite import Suite
from ladd.errors import nearest


class Relations:
    """Each check raises ValueError with the key, the value and what is allowed.

    Attributes:
        views: data behind each ENCODER/VIEW.
        latents: data behind all latents; there once `check` has looked at them.
    """

    def __init__(self, suite: Suite):
        self.suite = suite
        self.views = {
            f"{key}/{view}": encoder.data for key, encoder in suite.encoders.items() for view in encoder.views
        }
        self.latents: dict[str, str] = {}

    def check(self) -> None:
        suite = self.suite
        self._check_keys()
        _apart({"baselines": suite.baselines, "models": suite.models})
        _apart({"encoders": suite.encoders, "codebooks": suite.codebooks, "latents": suite.latents})
        self._check_latents()
        for block, with_latents in (("baselines", False), ("models", True)):
            for key, model in getattr(suite, block).items():
                self._check_system(f"{block}.{key}", model, with_latents=with_latents)
        for key, sweep in suite.sweeps.items():
            prefix, _, data = key.partition("-")
            # Rows of results have the key of a sweep in their column "model", or such a name and the key of a data set.
            if data in suite.data and prefix in ("reference", *suite.data[data].task.references):
                raise ValueError(
                    f"sweeps.{key}: the name is that of the {prefix} rows of data.{data}; rename the sweep"
                )
            self._check_sweep(f"sweeps.{key}", sweep)
        self._check_precision()
        self._check_replicates()
        self._check_claims()
        self._check_evaluation()

    def _check_keys(self) -> None:
        for block in (*TRAINED, "sweeps"):
            for key in getattr(self.suite, block):
                if OF_REPLICATE.fullmatch(key):
                    raise ValueError(f"{block}.{key}: replicates end in _ and a number; write {key.replace('_', '-')}")

    def _check_claims(self) -> None:
        rows = {f"{family}-{key}" for key, data in self.suite.data.items() for family in data.task.references}
        for key, claim in self.suite.claims.items():
            for quantity in quantities(claim.claim) if claim.claim is not None else ():
                if quantity.model not in self.suite.sweeps and quantity.model not in rows:
                    raise ValueError(
                        f"claims.{key}.claim: {quantity.model!r} is neither a sweep, {sorted(self.suite.sweeps)}, "
                        f"nor a reference, {sorted(rows)}"
                    )
                if (sweep := self.suite.sweeps.get(quantity.model)) is not None:
                    _check_measured(f"claims.{key}.claim", quantity, sweep)

    def _check_replicates(self) -> None:
        for key, sweep in self.suite.sweeps.items():
            if len(sweep.seeds) % self.suite.replicates:
                raise ValueError(
                    f"replicates: {self.suite.replicates} trainings do not share out the seeds {sweep.seeds} of "
                    f"sweeps.{key}; write a multiple of as many in evaluation.reference.seeds"
                )

    def _check_latents(self) -> None:
        suite = self.suite
        for key, latents in suite.latents.items():
            tokens = _find(f"latents.{key}.data", suite.data, latents.data).tokens
            _check_most(f"latents.{key}.length", "L = ", latents.length, tokens)
        for key, encoder in suite.encoders.items():
            data = _find(f"encoders.{key}.data", suite.data, encoder.data)
            if not data.task.reads_text:
                raise ValueError(f"encoders.{key}.data: {encoder.data!r} is {data.kind}; a text encoder needs text")
            for name, view in encoder.views.items():
                place = f"encoders.{key}.views.{name}.length"
                _check_most(place, "L = ", view.length, data.tokens)
                if view.pooling == "aligned" and view.length != data.tokens:
                    raise ValueError(f"{place}: aligned latents need L = N = {data.tokens}, not {view.length}")
        self.latents = {key: latents.data for key, latents in suite.latents.items()} | self.views
        for key, codebook in suite.codebooks.items():
            self.latents[key] = _find(f"codebooks.{key}.latents", self.views, codebook.latents)
        for key, prior in suite.priors.items():
            _find(f"priors.{key}.latents", self.latents, prior.latents)
            if suite.latent_shape(prior.latents).codebook is not None:
                raise ValueError(f"priors.{key}.latents: {prior.latents!r} is discrete; a prior draws vectors")
            if isinstance(prior, StudentConfig):
                self._check_student(f"priors.{key}", prior)

    def _check_student(self, key: str, student: StudentConfig) -> None:
        teacher = _find(f"{key}.teacher", self.suite.priors, student.teacher)
        if isinstance(teacher, StudentConfig):
            raise ValueError(f"{key}.teacher: {student.teacher!r} is distilled itself; name {teacher.teacher!r}")
        for name in ("latents", "schedule"):
            if (own := getattr(student, name)) != (other := getattr(teacher, name)):
                raise ValueError(f"{key}.{name}: {own!r} must be that of its teacher, {other!r}")

    def _check_system(self, key: str, model: SystemSettings, *, with_latents: bool) -> None:
        suite = self.suite
        if model.system.uses_latents != with_latents:
            kind = "without" if with_latents else "with"
            raise ValueError(f"{key}.family: {model.family!r} is a system {kind} latents, move it to the other block")
        _find(f"{key}.data", suite.data, model.data)
        shape = learned = None
        if model.latents_name is not None:
            data = _find(f"{key}.latents", self.latents, model.latents_name)
            if model.data != data:
                raise ValueError(f"{key}.data: {model.data!r} differs from {data!r}, the data of its latents")
            shape, learned = suite.latent_shape(model.latents_name), suite.latents.get(model.latents_name)
        with _at(key):
            model.system.check(model, shape, learned)
        if (start := getattr(model, "start", None)) is not None:
            baseline = _find(f"{key}.start", suite.baselines, start)
            with _at(key):
                model.check_start(baseline)  # type: ignore[attr-defined]

    def _check_sweep(self, key: str, sweep: SweepConfig) -> None:
        suite = self.suite
        model = _find(f"{key}.model", suite.baselines | suite.models, sweep.model)
        if sweep.data != model.data:
            raise ValueError(f"{key}.data: {sweep.data!r} differs from {model.data!r}, the data of its model")
        samplers = model.system.samplers(model)
        if sweep.schedule not in samplers:
            allowed = " or ".join(map(repr, samplers))
            raise ValueError(
                f"{key}.schedule: {sweep.schedule!r} for {model.family}{nearest(sweep.schedule, samplers)}; "
                f"allowed is {allowed}"
            )
        _check_noise(key, sweep, model, samplers[sweep.schedule])
        self._check_prior(f"{key}.prior", sweep, model)
        tokens, budgets = suite.data[model.data].tokens, {f"{key}.token_steps": sweep.token_steps}
        if sweep.frontier is not None:
            budgets[f"{key}.frontier.token_steps"] = sweep.frontier.token_steps
        for place, steps in budgets.items():
            if model.system.left_to_right and steps != [tokens]:
                raise ValueError(f"{place}: {steps}; {model.family} takes N = {tokens} steps, write [{tokens}]")
            _check_most(place, "", max(steps), tokens)
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
        suite, fitting = self.suite, self.suite.priors_of(model.latents_name)
        if not model.system.needs_prior(model, sweep.schedule):
            if sweep.prior is not None:
                raise ValueError(f"{key}: {sweep.prior!r}; {model.family} draws no latents from it here, write null")
        elif sweep.prior not in fitting:
            raise ValueError(
                f"{key}: {sweep.prior!r} draws no latents {model.latents_name!r}, which the {sweep.schedule} schedule "
                f"starts with; those of `priors` that do are {fitting}"
            )
        elif sweep.prior not in (such := fitting_priors(suite, model, sweep.schedule)):
            wanted = wants_student(model, sweep.schedule)
            raise ValueError(
                f"{key}: {sweep.prior!r} has {'no' if wanted else 'a'} teacher, and the {sweep.schedule} schedule "
                f"wants a prior with{'' if wanted else 'out'} one; those of `priors` that fit are {such}"
            )

    def _check_given(self, key: str, sweep: SweepConfig, model: SystemSettings) -> None:
        if (given := sweep.given) is None:
            return
        data = self.suite.data[sweep.data]
        if not data.task.given:
            raise ValueError(f"{key}.given: {given.kind!r}; {sweep.data!r} is drawn whole, write null")
        if not 1 <= (count := round(given.share * data.tokens)) < data.tokens:
            raise ValueError(f"{key}.given.share: {given.share} gives {count} of N = {data.tokens} tokens")
        if model.system.left_to_right and given.kind != "prefix":
            raise ValueError(
                f"{key}.given.kind: {given.kind!r}; {model.family} goes from left to right, it needs 'prefix'"
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


def _check_measured(path: str, quantity: Quantity, sweep: SweepConfig) -> None:
    """Refuse a claim about what its sweep does not sample. Raises ValueError."""
    where = f"{path}: {quantity.metric} of {quantity.model!r}"
    steps = sorted({point.token_steps for point in sweep.points})
    if quantity.token_steps not in (None, *steps):
        raise ValueError(f"{where} is asked at {quantity.token_steps} token steps; the sweep has {steps}")
    temperatures = sorted({point.temperature for point in sweep.points})
    if quantity.temperature not in (None, *temperatures):
        raise ValueError(f"{where} is asked at temperature {quantity.temperature}; the sweep has {temperatures}")
    if quantity.given and sweep.given is None:
        raise ValueError(f"{where} is asked given {quantity.given!r}; the sweep gives its sampler no tokens")


def _apart(blocks: Mapping[str, Mapping]) -> None:
    """Blocks whose keys are names of one kind."""
    for (first, one), (second, other) in combinations(blocks.items(), 2):
        if both := one.keys() & other.keys():
            key = min(both)
            raise ValueError(f"{second}.{key}: the name is taken by {first}.{key}; rename one")


def fitting_priors(suite: Suite, model: SystemSettings, schedule: str) -> list[str]:
    """Priors that draw the latents which a sampler starts with: those with a teacher, or those without."""
    wanted = wants_student(model, schedule)
    return [
        key for key in suite.priors_of(model.latents_name) if isinstance(suite.priors[key], StudentConfig) == wanted
    ]


def wants_student(model: SystemSettings, schedule: str) -> bool:
    """Whether a sampler draws by a prior with a teacher alone."""
    return getattr(model.system.samplers(model)[schedule], "distilled", False)


def _check_noise(key: str, sweep: SweepConfig, model: SystemSettings, sampler: Any) -> None:
    """A token sampler, alone or within another one, undoes the noise that its ``processes`` name and no other."""
    own = getattr(model.system, "noise", "MaskedProcess")
    for place, part in (("schedule", sampler), *(("tokens.schedule", part) for part in getattr(sweep, "parts", ()))):
        undone = [process.__name__ for process in getattr(part, "processes", ())]
        if undone and own not in undone:
            raise ValueError(
                f"{key}.{place}: {part.name!r} undoes a {' or '.join(undone)}, and the tokens of {model.family} have a "
                f"{own}; take one that undoes it (docs/samplers.md)"
            )


def _find(key: str, block: Mapping[str, Any], name: str) -> Any:
    if name not in block:
        raise ValueError(f"{key}: {name!r} is not defined{nearest(name, block)}; known are {sorted(block)}")
    return block[name]


def _check_most(key: str, what: str, value: int, tokens: int) -> None:
    if value > tokens:
        raise ValueError(f"{key}: {what}{value} must be at most N = {tokens}")


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Put the key of a block before the setting that an error of its system or sampler begins with."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{key}.{error}") from None
