"""Words for what the ``compare`` table names by key. Systems, tasks and metrics say theirs in their own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import polars as pl

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Metric, Samples
from ladd.registry import discover
from ladd.samplers.base import Sampler
from ladd.systems.base import DEFAULT_SAMPLER, systems
from ladd.tasks.base import Reference, Task

REAL = "real"  # family of the rows of real data, whatever the task
REAL_COLOUR = "#767676"
Row = tuple[str, str, str, int | None]  # suite, model, schedule and latent steps

# In nats per token, in the order of the columns.
BOUND, TOKEN_BOUND = "full_bound", "token_elbo"
BOUNDS = {TOKEN_BOUND: "token term", BOUND: "full bound", "token_loss_clean_latent": "clean latent"}
# The entropy rate is the best possible value of a full bound, so the two share a column.
STANDS_IN = {"entropy_rate": BOUND}
PERPLEXITY = "val_ppl"  # where it is measured, the full bound stands beside it
PERPLEXITIES = {PERPLEXITY: "data Val PPL", "bound_ppl": "full bound, PPL", BOUND: "full bound, nats per token"}
ZERO_SHOT = "zero_shot_ppl/"
ZERO_SHOT_NOTE = "(x): given latents that have seen the sequence, no bound on -log p(x)"
BOUNDS_NOTE = f"{ZERO_SHOT_NOTE}; clean latent: of the oracle, the shift"
PERPLEXITY_NOTE = f"{ZERO_SHOT_NOTE}; the full bound holds for text"
BOUND_METRICS = (*BOUNDS, *STANDS_IN, PERPLEXITY)
# No bounds on -log p(x) where a model is given latents that come from an encoder of the same sequence.
CONDITIONAL = ("token_elbo", PERPLEXITY)
BOUNDS_MEANING = (
    "token term: the token loss with the ELBO weight, an upper bound of -log p(x) without latents; full bound: with "
    "the cost of the latents, a bound with them; lower is better, and the entropy rate is the best that can be"
)
PERPLEXITY_MEANING = "exp of the nats per token: how many tokens the model still hesitates between; lower is better"


class Sampled(NamedTuple):
    """How a metric with one value per sampling seed is shown; registered metrics have the same attributes."""

    title: str
    factor: float  # from the stored value to the shown one
    digits: int
    essential: bool = False  # printed in the terminal too
    meaning: str = ""
    better: str = "lower"


def references() -> dict[str, Reference]:
    """What tasks know besides trained models, by family, in the order of tables and legends: what is exact first."""
    found: dict[str, Reference] = {}
    for task in discover("ladd.tasks", Task).values():
        found |= task.references
    return dict(sorted(found.items(), key=lambda item: not item[1].exact))


def metrics() -> list[type[Metric]]:
    """All that are registered, in the order of the tables."""
    return sorted(discover("ladd.metrics", Metric).values(), key=lambda metric: (metric.order, metric.name))


def sampling() -> dict[str, Any]:
    """What has one value per sampling seed, by name, in the order of the tables: registered metrics, and seconds."""
    seconds = Sampled(
        "Sampling time per sequence, milliseconds", 1000.0, 2, meaning="wall-clock on this machine; lower is better"
    )
    return {metric.name: metric for metric in metrics()} | {"seconds_per_sequence": seconds}


class Unmeasured(Metric):
    """Stands for a metric that a table has no rows of."""

    name = short = title = ""

    def measure(self, samples: Samples) -> Estimate:
        raise NotImplementedError


def in_role(summary: pl.DataFrame, role: Literal["quality", "diversity"]) -> type[Metric]:
    """The first metric of a role that the table has rows of, or `Unmeasured`."""
    measured = set(summary["metric"])
    return next((metric for metric in metrics() if metric.role == role and metric.name in measured), Unmeasured)


def main_metric(summary: pl.DataFrame) -> type[Metric]:
    """What a page is about: quality, else the first metric with a figure of its own, or `Unmeasured`."""
    if (quality := in_role(summary, "quality")) is not Unmeasured:
        return quality
    measured = set(summary["metric"])
    shown = (metric for metric in metrics() if metric.against and metric.name in measured)
    return next(shown, Unmeasured)


def uncertain(value: float, stderr: float | None, digits: int) -> str:
    """A value and its standard error, if it has one, with ``digits`` decimals."""
    return f"{value:.{digits}f}" + ("" if stderr is None else f"±{stderr:.{digits}f}")


def with_diversity(value: float, stderr: float | None, diversity: float | None, digits: int = 1) -> str:
    """The same, and the diversity of the same samples if it was taken."""
    return uncertain(value, stderr, digits) + ("" if diversity is None else f" · {diversity:.2f}")


def plain(value: float) -> str:
    """Three significant digits, or all before the point, without an exponent where that can be."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def families() -> dict[str, str]:
    """Labels of references and systems, in the order of tables and legends: references first."""
    of_references = {name: reference.label for name, reference in references().items()}
    return of_references | {name: system.label for name, system in systems().items()}


def systems_that(flag: str) -> list[str]:
    """Names of the systems with one of the flags of `System`, such as "uses_latents"."""
    return [name for name, system in systems().items() if getattr(system, flag)]


def named_systems(flag: str) -> str:
    """Their labels, in a sentence."""
    return ", ".join(systems()[name].label for name in systems_that(flag))


def is_conditional(family: str, schedule: str) -> bool:
    """Whether the token term of a system is no bound on -log p(x), since it is given what has seen the sequence.

    So it is with latents, and with what else a system says of itself by its attribute ``conditional``, or a sampler by
    ``bounded``.
    """
    system, sampler = systems().get(family), discover("ladd.samplers", Sampler).get(schedule, Sampler)
    return system is not None and (system.uses_latents or getattr(system, "conditional", False) or not sampler.bounded)


def of_systems(flag: str) -> pl.Expr:
    """Whether a row is of one of them."""
    return pl.col("family").is_in(systems_that(flag))


def family_name(family: str, model: str) -> str:
    """Family in words; the key of a model may name a preset of it."""
    known = references()
    return known[family].label if family in known else systems()[family].title(model)


def shown_schedule(family: str, schedule: str) -> str:
    """The schedule as a name has it beside the family; "" for the default, and for a system's own, called as it is."""
    return "" if schedule in (DEFAULT_SAMPLER, family) else schedule


def schedule_name(schedule: str, latent_steps: int | None, temperature: float | None = None) -> str:
    """Inference schedule with the latent steps that it takes besides its token steps, and a temperature other than 1.

    "" for none of these.
    """
    name = ("" if schedule == DEFAULT_SAMPLER else schedule) + (f" +{latent_steps}" if latent_steps else "")
    return name if temperature in (None, 1.0) else f"{name} T={temperature:g}".strip()


def plain_name(row: Mapping[str, Any]) -> str:
    """What a row is of, such as "Di-LADD, sequential, L = 16, K = 256, 1 code step", without its key.

    Args:
        row: columns family, model, schedule, L, K, latent_steps and, where it has one, temperature.
    """
    words = [family_name(row["family"], row["model"])]
    words += filter(None, [shown_schedule(row["family"], row["schedule"])])
    words += [f"{letter} = {row[letter]}" for letter in "LK" if row[letter] and (row["L"] or 0) > 1]
    if steps := row["latent_steps"]:
        words.append(f"{steps} {'code' if row['K'] else 'latent'} step{'s' * (steps > 1)}")
    heat = row.get("temperature")
    return ", ".join(words) + ("" if heat in (None, 1.0) else f", temperature {heat:g}")


def plain_names(rows: pl.DataFrame) -> dict[Row, str]:
    """Plain names by model, schedule and latent steps, in the order of rows; where several have one, with the key."""
    named = {row_key(row): plain_name(dict(row) | {"temperature": None}) for row in rows.iter_rows(named=True)}
    several = {name for name, count in Counter(named.values()).items() if count > 1}
    return {key: f"{name} ({key[1]})" if name in several else name for key, name in named.items()}


def row_key(row: Mapping[str, Any]) -> Row:
    """What tells the models and schedules of a table apart."""
    return row["suite"], row["model"], row["schedule"], row["latent_steps"]


def meaning(row: Mapping[str, Any]) -> str:
    """What kind of model a row is of, in one line; "" where its family says nothing of itself.

    Args:
        row: columns family and schedule.
    """
    family, schedule = row["family"], row["schedule"]
    known: dict[str, Any] = {**references(), **systems()}
    said = [known[family].meaning] if family in known else []
    if schedule != DEFAULT_SAMPLER:
        sampler = discover("ladd.samplers", Sampler).get(schedule)
        said += [f"{schedule}: {sampler.meaning}"] if sampler is not None and sampler.meaning else []
    return "; ".join(filter(None, said))


def steps_name(token_steps: int) -> str:
    """Such as "1 token step"."""
    return f"{token_steps} token step{'s' * (token_steps > 1)}"


def sampling_note(summary: pl.DataFrame) -> str:
    """How many trainings, seeds and samples stand behind averaged sampling metrics, in words; "" without seeds."""
    sampled = summary.filter(pl.col("seeds") > 0)
    trained = sampled.filter(~pl.col("family").is_in([*references()]))
    if sampled.is_empty():
        return ""
    counted = sampled if trained.is_empty() else trained
    seeds, samples, trainings = (_span(counted[name]) for name in ("seeds", "n", "replicates"))
    if trainings != "1":
        of_each = "" if seeds == "1" else f"{seeds} seeds of "
        return f"mean ± standard error over {trainings} trainings, of each {of_each}n = {samples} samples"
    if seeds == "1":
        return f"± standard error within one seed of n = {samples} samples"
    return f"mean ± standard error over {seeds} seeds of n = {samples} samples each"


def error_note(summary: pl.DataFrame) -> str:
    """What the errors of likelihoods, and of a whole page, are over."""
    trained = summary.filter(~pl.col("family").is_in([*references()]))
    counted = summary if trained.is_empty() else trained
    trainings = _span(counted["replicates"])
    if trainings == "1":
        return "errors are those of measuring one training; another training may differ by more"
    return f"errors are standard errors over {trainings} trainings"


def _span(counts: pl.Series) -> str:
    known = counts.drop_nulls().to_list() or [0]
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
