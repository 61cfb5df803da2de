"""Rules about result rows that tables and tracked curves share."""

from __future__ import annotations

import polars as pl

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
