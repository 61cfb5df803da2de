"""Which rows belong in one table or figure, which are comparable, and their averages."""

from __future__ import annotations

import polars as pl

# What is swept together; a model may have more temperatures at one budget than at another.
SWEEP = ("suite", "model", "schedule", "latent_steps", "given")


def sampled(summary: pl.DataFrame, metric: str, given: str = "") -> pl.DataFrame:
    """Rows of one sampling metric, each model at its temperature nearest to 1.

    Args:
        metric: its name.
        given: which tokens the sampler was given; "" for none.
    """
    rows = summary.filter((pl.col("metric") == metric) & (pl.col("given") == given))
    return at_base_temperature(rows)


def at_base_temperature(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of every sweep at its temperature nearest to 1, the lower of two as near; null where none applies."""
    temperature = pl.col("temperature")
    base = temperature.sort_by((temperature - 1).abs(), temperature).first().over(SWEEP)
    return rows.filter(temperature.eq_missing(base))


def with_entropy(rows: pl.DataFrame, summary: pl.DataFrame) -> pl.DataFrame:
    """Rows with the per-sequence entropy of the same samples as columns entropy and entropy_stderr; null if not taken.

    Args:
        rows: of one metric.
    """
    keys = [*SWEEP, "token_steps", "temperature"]
    entropy = summary.filter(pl.col("metric") == "entropy_sequence")
    beside = entropy.select(*keys, entropy=pl.col("value"), entropy_stderr=pl.col("stderr"))
    return rows.join(beside, on=keys, how="left", nulls_equal=True, maintain_order="left")


# Rows of one metric that differ in one of these are not comparable: the evaluator computed something else, perplexity
# per token counts other tokens, another arithmetic sampled, or the bias of a metric in n (MAUVE, SWD, positional
# entropy, distinct-n) is another.
ALIKE = ("evaluator_version", "tokenizer", "precision", "n")


def over_seeds() -> list[pl.Expr]:
    """Columns value and stderr of a group of rows that differ in their sampling seed.

    The standard error is the sample standard deviation / sqrt(seeds) from two seeds on, and the row's own below that.
    """
    spread = pl.col("value").std(ddof=1) / pl.len().sqrt()
    stderr = pl.when(pl.len() > 1).then(spread).otherwise(pl.col("stderr").first())
    return [pl.col("value").mean(), stderr.alias("stderr")]
