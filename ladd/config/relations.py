"""Checks of params.yaml that need more than one block."""

from __future__ import annotations

from typing import Any, get_args

from ladd.config.blocks import GaussianName, MaskedName
from ladd.config.evaluation import SweepConfig
from ladd.config.models import BaselineConfig, ModelConfig
from ladd.config.registered import tasks
from ladd.config.suite import Suite

# Rows of results have the key of a sweep in their column "model", or such a name and the key of a data set.
REFERENCES = ("bigram", "exact", "oracle", "real", "reference", "shuffled", "unigram")
LEAST_TIME = 1e-13  # of continuous latents that are not done yet: below, their noise rounds to 0, by which steps divide


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
        for key, baseline in suite.baselines.items():
            self._find(f"baselines.{key}.data", suite.data, baseline.data)
        for key, model in suite.models.items():
            self._check_model(f"models.{key}", model)
        for key, sweep in suite.sweeps.items():
            self._check_name(f"sweeps.{key}", key)
            self._check_sweep(f"sweeps.{key}", sweep)
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
            if not tasks()[data.kind].reads_text:
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

    def _check_model(self, key: str, model: ModelConfig) -> None:
        suite = self.suite
        data_of = {
            **{name: latents.data for name, latents in suite.latents.items()},
            **{name: self._find_view(name, codebook.latents) for name, codebook in suite.codebooks.items()},
            **self._views(),
        }
        data = self._find(f"{key}.latents", data_of, model.latents)
        self._find(f"{key}.data", suite.data, model.data)
        if model.data != data:
            raise ValueError(f"{key}.data: {model.data!r} differs from {data!r}, the data of its latents")
        wanted = {"co-ladd": "continuous", "di-ladd": "discrete"}[model.family]
        kind = "continuous" if suite.latent_shape(model.latents).codebook is None else "discrete"
        if kind != wanted:
            raise ValueError(f"{key}.latents: {model.family} needs {wanted} latents, {model.latents!r} is {kind}")
        channel, allowed = model.latent_channel, list(get_args(MaskedName if kind == "discrete" else GaussianName))
        if channel.schedule not in allowed:
            raise ValueError(
                f"{key}.latent_channel.schedule: {channel.schedule!r} is not for {kind} latents; allowed are {allowed}"
            )
        if kind == "discrete" and channel.dropout:
            raise ValueError(
                f"{key}.latent_channel.dropout: {channel.dropout} must be 0 for di-ladd: a masked code is its null"
            )
        if model.latents in suite.latents:
            self._check_stage1(key, model)

    def _check_stage1(self, key: str, model: ModelConfig) -> None:
        """The denoiser goes on from the weights of Stage 1, so it must be the same network for the same process."""
        latents = self.suite.latents[model.latents]
        if model.network != latents.denoiser:
            raise ValueError(
                f"{key}.network: {model.network.model_dump()} must equal latents.{model.latents}.denoiser, "
                f"its Stage 1, {latents.denoiser.model_dump()}"
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
        if isinstance(model, BaselineConfig) != (sweep.schedule == "none"):
            allowed = "'none'" if isinstance(model, BaselineConfig) else "'joint' or 'sequential'"
            raise ValueError(f"{key}.schedule: {sweep.schedule!r} for {model.family}; allowed is {allowed}")
        budgets = {f"{key}.token_steps": sweep.token_steps}
        if sweep.frontier is not None:
            budgets[f"{key}.frontier.token_steps"] = sweep.frontier.token_steps
        for place, steps in budgets.items():
            if model.family == "ar" and steps != [data.tokens]:
                raise ValueError(f"{place}: {steps}; ar takes N = {data.tokens} steps, write [{data.tokens}]")
            self._check_steps(place, steps, data.tokens)
        if model.family == "co-ladd" and sweep.schedule == "sequential" and model.latent_denoiser is None:
            raise ValueError(
                f"{key}.schedule: sequential Co-LADD needs a latent denoiser, but "
                f"models.{sweep.model}.latent_denoiser is null"
            )
        if sweep.eta and (model.family != "co-ladd"):
            raise ValueError(f"{key}.eta: {sweep.eta}; only co-ladd takes DDIM steps, others need 0")
        if isinstance(model, ModelConfig) and model.latent_noise != [0.0, 1.0] and sweep.schedule == "joint":
            raise ValueError(
                f"{key}.schedule: the joint schedule starts from pure noise, but models.{sweep.model}.latent_noise is "
                f"{model.latent_noise}; train it on [0.0, 1.0]"
            )
        if model.family == "co-ladd":
            check_lead(key, sweep)
        self._check_given(key, sweep, model)
        reference = suite.evaluation_of(sweep.data).reference
        for name in ("samples", "seeds"):
            if getattr(sweep, name) != getattr(reference, name):
                raise ValueError(
                    f"{key}.{name}: {getattr(sweep, name)} must equal evaluation.reference.{name}, "
                    f"{getattr(reference, name)}: the distance of two sets and its floor depend on their size"
                )

    def _check_given(self, key: str, sweep: SweepConfig, model: BaselineConfig | ModelConfig) -> None:
        if sweep.given is None:
            return
        data = self.suite.data[sweep.data]
        if not tasks()[data.kind].given:
            raise ValueError(f"{key}.given: {sweep.given.kind!r}; {sweep.data!r} is drawn whole, write null")
        if not 1 <= (count := round(sweep.given.share * data.tokens)) < data.tokens:
            raise ValueError(f"{key}.given.share: {sweep.given.share} gives {count} of N = {data.tokens} tokens")
        if model.family == "ar" and sweep.given.kind != "prefix":
            raise ValueError(f"{key}.given.kind: {sweep.given.kind!r}; ar goes from left to right, it needs 'prefix'")

    def _check_evaluation(self) -> None:
        suite = self.suite
        if isinstance(suite.evaluation, dict) and suite.evaluation.keys() != suite.data.keys():
            known = sorted(suite.data)
            raise ValueError(f"evaluation: {sorted(suite.evaluation)}; write one block, or one for each of {known}")
        for name, data in suite.data.items():
            kind = suite.evaluation_of(name).kind
            if data.kind != kind:
                raise ValueError(f"evaluation.kind: {kind!r} cannot measure data.{name}, a {data.kind}")
            task = tasks()[kind](suite, name)
            task.metrics()
            task.check()

    def _check_steps(self, key: str, steps: list[int], tokens: int) -> None:
        if max(steps) > tokens:
            raise ValueError(f"{key}: {max(steps)} must be at most N = {tokens}")


def check_lead(key: str, sweep: SweepConfig) -> None:
    """Refuse a joint schedule that takes continuous latents to times where floating point has no noise left.

    Raises:
        ValueError: their last step that counts, at the last time of the grid but one, is there.
    """
    least = min(2 / point.token_steps for point in sweep.points) ** (sweep.latent_lead / sweep.token_lag)
    if sweep.schedule == "joint" and least < LEAST_TIME:
        raise ValueError(
            f"{key}.latent_lead: {sweep.latent_lead} with token_lag {sweep.token_lag} takes the latents to a time of "
            f"{least:.1e}, where floating point has no noise left; lower latent_lead / token_lag"
        )
