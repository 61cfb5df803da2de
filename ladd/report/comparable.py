"""Rows that must not stand in one table are refused before a table is made."""

from __future__ import annotations

import polars as pl

from ladd.errors import ArtifactError
from ladd.report.labels import REFERENCES
from ladd.report.select import ALIKE

# Known answers, from quadrature instead of a network: as many draws as the quadrature needs, at its own precision.
KNOWN_ANSWERS = ("oracle", "exact")


def check_comparable(compare: pl.DataFrame) -> None:
    """Refuse rows that share a metric but not how it was measured.

    Rows are compared where they would stand in one table: of one metric, given tokens alike, at all temperatures, step
    budgets and sampling seeds. A row that pools the samples of several seeds has their joint n, so it is refused beside
    rows of single seeds. Exempt, each from no more than it must be:

    - references (real, shuffled, unigram, bigram, oracle, exact) from precision: no network made them;
    - known answers (oracle, exact), and references with n = 0, from n: they are no estimates from n samples.

    Evaluator version and tokenizer hold for all. References of sampled metrics keep n: the floor of real data depends
    on it as the models' values do.

    Args:
        compare: columns metric, given, model, family and ALIKE.

    Raises:
        ArtifactError: naming metric, column, values and models.
    """
    for (metric, given), rows in compare.group_by("metric", "given", maintain_order=True):
        for column in ALIKE:
            bound = rows.filter(~_exempt(column))
            if bound[column].n_unique() > 1:
                where = f"{metric} given {given}" if given else metric
                raise ArtifactError(
                    f"rows of {where} differ in {column}: {_by_value(bound, column)}; they cannot be compared, "
                    "evaluate them alike again"
                )


def _exempt(column: str) -> pl.Expr:
    family = pl.col("family")
    if column == "precision":
        return family.is_in([*REFERENCES])
    if column == "n":
        return family.is_in(KNOWN_ANSWERS) | (family.is_in([*REFERENCES]) & (pl.col("n") == 0))
    return pl.lit(value=False)


def _by_value(rows: pl.DataFrame, column: str) -> str:
    models = rows.group_by(column).agg(pl.col("model").unique().sort()).sort(pl.col("model").list.first(), column)
    return ", ".join(f"{value!r} ({', '.join(names)})" for value, names in models.iter_rows())
