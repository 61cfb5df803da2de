"""Words for what the ``compare`` table names by key. No other module of the report names a metric.

A metric with a class of its own says in it how it is shown; what is still said here belongs into such classes too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from ladd.metrics.base import Metric
from ladd.registry import discover
from ladd.systems.base import DEFAULT_SAMPLER, systems

REFERENCES = {
    "oracle": "Oracle",
    "exact": "Exact",
    "real": "Real data",
    "shuffled": "Shuffled words",
    "unigram": "Unigram",
    "bigram": "Bigram",
}
REAL, EXACT = "real", "exact"
# From quadrature instead of a network: as many draws as the quadrature needs, at its own precision.
KNOWN_ANSWERS = ("oracle", EXACT)

# In nats per token, in the order of the columns.
BOUND = "full_bound"
BOUNDS = {"token_elbo": "token term", BOUND: "full bound", "token_loss_clean_latent": "clean latent"}
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

QUALITY, QUALITY_NAME = "gen_ppl", "Gen PPL"  # held against compute; lower is better
DIVERSITY, DIVERSITY_AXIS = "entropy_sequence", "per-sequence unigram entropy (nats)"  # must be equal beside it
BESIDE_SAMPLES = {QUALITY: QUALITY_NAME, DIVERSITY: "entropy", "distinct_2": "distinct-2", "mauve": "MAUVE"}


class Sampled(NamedTuple):
    """How a metric with one value per sampling seed is shown; registered metrics have the same attributes."""

    title: str
    factor: float  # from the stored value to the shown one
    digits: int
    essential: bool = False  # printed in the terminal too


def sampling() -> dict[str, Any]:
    """What has one value per sampling seed, by name, in the order of the tables: registered metrics, and seconds."""
    metrics = sorted(discover("ladd.metrics", Metric).values(), key=lambda metric: (metric.order, metric.name))
    seconds = Sampled("Sampling time per sequence, milliseconds", 1000.0, 2)
    return {metric.name: metric for metric in metrics} | {"seconds_per_sequence": seconds}


class Cost(NamedTuple):
    """A measure of what a sample costs."""

    title: str  # of an axis
    unit: str  # of a budget, in a sentence
    rule: str  # what is charged


BACKBONE = "nominal_gmacs_per_sample"  # the paper's tables charge backbones alone, and every step
COSTS = {
    BACKBONE: Cost(
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
AXES = {"token_steps": "token denoising steps"} | {name: cost.title for name, cost in COSTS.items()}


class Quality(NamedTuple):
    """A figure of a metric upwards against token steps or a cost."""

    metric: str
    label: str
    floor: str  # name of the value of real data
    x: str  # one of AXES
    stem: str  # of the file
    caption: str
    title: str = ""  # of the horizontal axis where it is not that of AXES


_SWD = ("swd", "sliced Wasserstein distance to real data\n(in units of token value)", "Real data (floor)")
_COMPUTE = "compute per sample ($10^9$ multiply-adds, latent passes included)"
_AGAINST = (
    ("token_steps", "gen-ppl", "token steps"),
    (BACKBONE, "gen-ppl-backbone", "backbone GFLOPs, as the paper counts"),
    ("gmacs_per_sample", "gen-ppl-made", "made backbone GFLOPs, passes that were needed"),
    ("gflops_per_sample", "gen-ppl-compute", "true GFLOPs, head and latent passes included"),
    ("seconds_per_sample", "gen-ppl-seconds", "wall-clock time"),
)
FIGURES = (
    Quality(*_SWD, "token_steps", "swd", "Sliced Wasserstein distance against token steps"),
    Quality(*_SWD, "gmacs_per_sample", "swd-compute", "Sliced Wasserstein distance against compute", _COMPUTE),
    *(
        Quality(
            *(QUALITY, QUALITY_NAME, "Real text", x, stem),
            f"{QUALITY_NAME} against {against}; down is better, at equal entropy",
        )
        for x, stem, against in _AGAINST
    ),
)


def uncertain(value: float, stderr: float | None, digits: int) -> str:
    """A value and its standard error, if it has one, with ``digits`` decimals."""
    return f"{value:.{digits}f}" + ("" if stderr is None else f"±{stderr:.{digits}f}")


def with_diversity(value: float, stderr: float | None, entropy: float | None, digits: int = 1) -> str:
    """The same, and the entropy of the same samples if it was taken."""
    return uncertain(value, stderr, digits) + ("" if entropy is None else f" · {entropy:.2f}")


def plain(value: float) -> str:
    """Three significant digits, or all before the point, without an exponent where that can be."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def families() -> dict[str, str]:
    """Labels of references and systems, in the order of tables and legends: references first."""
    return REFERENCES | {name: system.label for name, system in systems().items()}


def systems_that(flag: str) -> list[str]:
    """Names of the systems with one of the flags of `System`, such as "uses_latents"."""
    return [name for name, system in systems().items() if getattr(system, flag)]


def named_systems(flag: str) -> str:
    """Their labels, in a sentence."""
    return ", ".join(systems()[name].label for name in systems_that(flag))


def of_systems(flag: str) -> pl.Expr:
    """Whether a row is of one of them."""
    return pl.col("family").is_in(systems_that(flag))


def family_name(family: str, model: str) -> str:
    """Family in words; the key of a model may name a preset of it."""
    return REFERENCES[family] if family in REFERENCES else systems()[family].title(model)


def schedule_name(schedule: str, latent_steps: int | None, temperature: float | None = None) -> str:
    """Inference schedule with the latent steps that it takes besides its token steps, and a temperature other than 1.

    "" for none of these.
    """
    name = ("" if schedule == DEFAULT_SAMPLER else schedule) + (f" +{latent_steps}" if latent_steps else "")
    return name if temperature in (None, 1.0) else f"{name} T={temperature:g}".strip()


def steps_name(token_steps: int) -> str:
    """Such as "1 token step"."""
    return f"{token_steps} token step{'s' * (token_steps > 1)}"


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
