"""Names in words of what the ``compare`` table names by key."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from ladd.metrics.base import Metric
from ladd.registry import discover
from ladd.systems.base import systems

REFERENCES = {
    "oracle": "Oracle",
    "exact": "Exact",
    "real": "Real data",
    "shuffled": "Shuffled words",
    "unigram": "Unigram",
    "bigram": "Bigram",
}

# In nats per token, in the order of the columns.
BOUNDS = {
    "token_elbo": "token term",
    "full_bound": "full bound",
    "token_loss_clean_latent": "clean latent",
}
# The entropy rate is the best possible value of a full bound, so the two share a column.
STANDS_IN = {"entropy_rate": "full_bound"}
ZERO_SHOT = "zero_shot_ppl/"
BOUNDS_NOTE = (
    "(x): given latents that have seen the sequence, no bound on -log p(x); clean latent: of the oracle, the shift"
)
PERPLEXITY_NOTE = "(x): given latents that have seen the sequence, no bound on -log p(x); the full bound holds for text"
ZERO_SHOT_NOTE = "(x): given latents that have seen the sequence, no bound on -log p(x)"


class Sampled(NamedTuple):
    """How a metric with one value per sampling seed is shown."""

    title: str
    factor: float  # from the stored value to the shown one
    digits: int
    essential: bool = False  # printed in the terminal too


SECONDS = Sampled("Sampling time per sequence, milliseconds", 1000.0, 2)


def sampling() -> dict[str, Sampled]:
    """What has one value per sampling seed, by name, in the order of the tables: registered metrics, and seconds."""
    metrics = sorted(discover("ladd.metrics", Metric).values(), key=lambda metric: (metric.order, metric.name))
    shown = {each.name: Sampled(each.title, each.factor, each.digits, each.essential) for each in metrics}
    return shown | {"seconds_per_sequence": SECONDS}


class Cost(NamedTuple):
    """A measure of what a sample costs."""

    title: str  # of an axis
    unit: str  # of a budget, in a sentence
    rule: str  # what is charged


COSTS = {
    "nominal_gmacs_per_sample": Cost(
        "backbone GFLOPs per sample ($10^9$ multiply-adds, a pass for every step)",
        "backbone GFLOPs",
        "as the paper charges: a pass for every step, whether or not it reveals anything",
    ),
    "gmacs_per_sample": Cost(
        "backbone GFLOPs made per sample ($10^9$ multiply-adds, latent passes included)",
        "made backbone GFLOPs",
        "passes that were needed: none where a step reveals nothing",
    ),
    "gflops_per_sample": Cost(
        "true GFLOPs per sample (2 per multiply-add, head and latent passes included)",
        "true GFLOPs",
        "passes that were needed, and heads",
    ),
    "seconds_per_sample": Cost("seconds per sample", "seconds", "each sample makes its own passes"),
}


def uncertain(value: float, stderr: float | None, digits: int) -> str:
    """A value and its standard error, if it has one, with ``digits`` decimals."""
    return f"{value:.{digits}f}" + ("" if stderr is None else f"±{stderr:.{digits}f}")


def plain(value: float) -> str:
    """Three significant digits, or all before the point, without an exponent where that can be."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def families() -> dict[str, str]:
    """Labels of references and systems, in the order of tables and legends: references first."""
    return REFERENCES | {name: system.label for name, system in systems().items()}


def with_latents() -> list[str]:
    """Systems whose token term is given latents that come from an encoder of the same sequence."""
    return [name for name, system in systems().items() if system.uses_latents]


def comparators() -> list[str]:
    """Systems that others are compared with at few steps."""
    return [name for name, system in systems().items() if system.comparator]


def left_to_right() -> list[str]:
    """Systems whose cost is one for all step budgets."""
    return [name for name, system in systems().items() if system.left_to_right]


def family_name(family: str, model: str) -> str:
    """Family in words; the key of a model may name a preset of it."""
    return REFERENCES[family] if family in REFERENCES else systems()[family].title(model)


def schedule_name(schedule: str, latent_steps: int | None, temperature: float | None = None) -> str:
    """Inference schedule with the latent steps that it takes besides its token steps, and a temperature other than 1.

    "" for none of these.
    """
    name = ("" if schedule == "none" else schedule) + (f" +{latent_steps}" if latent_steps else "")
    return name if temperature in (None, 1.0) else f"{name} T={temperature:g}".strip()


def sampling_note(summary: pl.DataFrame) -> str:
    """How many seeds and samples stand behind averaged sampling metrics, in words; "" without seeds."""
    sampled = summary.filter(pl.col("seeds") > 0)
    if sampled.is_empty():
        return ""
    seeds, samples = _span(sampled["seeds"]), _span(sampled["n"])
    if seeds == "1":
        return f"± standard error within one seed of n = {samples} samples"
    return f"mean ± standard error over {seeds} seeds of n = {samples} samples each"


def _span(counts: pl.Series) -> str:
    known = counts.drop_nulls().to_list() or [0]
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
