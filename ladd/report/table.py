"""Averages over sampling seeds, the plain-text table that a run prints at its end, and its most telling numbers."""

from __future__ import annotations

import math
import textwrap

import polars as pl

from ladd.errors import ArtifactError
from ladd.report.blocks import blocks
from ladd.report.cells import Block
from ladd.report.comparable import check_comparable
from ladd.report.labels import BOUNDS, COSTS, STANDS_IN, families, sampling
from ladd.report.select import ALIKE, at_base_temperature, over_seeds

SWEPT = ("token_steps", "latent_steps", "temperature", "given")
KEYS = ("suite", "model", "family", "schedule", "L", "K", "w", *SWEPT, "metric")
PRICES = ("nfe", *COSTS)  # network passes, 10^9 multiply-adds, 10^9 floating-point operations, seconds
MEASURED = ("value", "stderr", "n", "precision", "evaluator_version", "tokenizer")
WIDTH = 110  # columns of a terminal
NOTE_WIDTH = 120  # notes are prose


def summarise(compare: pl.DataFrame) -> pl.DataFrame:
    """Average every measurement over its sampling seeds.

    Args:
        compare: tidy table, one row per measurement, columns KEYS, PRICES, MEASURED and seed (null for a bound).

    Returns:
        One row per measurement: value is the mean, stderr the sample standard deviation / sqrt(seeds) from two seeds
        on and the row's own below that; ``seeds`` counts the sampling seeds (0 for a bound).

    Raises:
        ArtifactError: there are no rows, a column is missing, a value is not finite, a family is unknown, a seed
            occurs twice, or rows of one metric differ in evaluator version, tokenizer, precision or n.
    """
    _check_rows(compare)
    # A CSV file may give back an empty text as null, and a column of nulls has no type of its own.
    texts, numbers = pl.col("given", "tokenizer"), pl.col("temperature", *COSTS)
    compare = compare.with_columns(texts.cast(pl.String).fill_null(""), numbers.cast(pl.Float64))
    groups = compare.group_by(KEYS, maintain_order=True)
    _check_groups(groups.agg(*(pl.col(name).unique() for name in ALIKE), pl.col("seed").sort(), rows=pl.len()))
    check_comparable(compare)
    averages = groups.agg(
        *(pl.col(name).mean() for name in PRICES),
        *over_seeds(),
        *(pl.col(name).first() for name in MEASURED[2:]),
        pl.col("seed").count().alias("seeds"),
    )
    rank = pl.col("family").replace_strict({name: i for i, name in enumerate(families())}, return_dtype=pl.Int64)
    return averages.sort(
        "suite", rank, "L", "model", "schedule", "latent_steps", "metric", "given", "temperature", "token_steps"
    )


def _check_rows(compare: pl.DataFrame) -> None:
    if missing := [name for name in (*KEYS, *PRICES, *MEASURED, "seed") if name not in compare.columns]:
        raise ArtifactError(f"compare lacks the columns {missing}; re-run the compare stage")
    if compare.is_empty():
        raise ArtifactError("compare has no rows; evaluate a model first")
    bad = compare.filter(~pl.col("value").is_finite().fill_null(value=False))
    if bad.height:
        raise ArtifactError(f"value is {bad['value'][0]} in {bad.height} rows, first {_name(bad.row(0, named=True))}")
    if unknown := sorted(set(compare["family"]) - set(families()), key=str):
        raise ArtifactError(f"family {unknown} is not one of {list(families())}: no system has that name")


def _check_groups(groups: pl.DataFrame) -> None:
    for row in groups.iter_rows(named=True):
        for column in ALIKE:
            if len(row[column]) > 1:
                values = sorted(row[column], key=str)
                raise ArtifactError(f"{column} has the values {values} among {_name(row)}; evaluate them alike again")
        if row["rows"] > len(set(row["seed"])):
            raise ArtifactError(f"seed {row['seed']} repeats among {_name(row)}; keep one row per seed")


def _name(row: dict[str, object]) -> str:
    return ", ".join(f"{key}={row[key]}" for key in KEYS if row[key] is not None)


def render(compare: pl.DataFrame) -> str:
    """Text of the summary, at most WIDTH columns wide: bounds first, then SWD or Gen PPL; "-" is not measured."""
    shown = [block for block in blocks(summarise(compare)) if block.essential]
    return "\n\n".join(map(block_text, shown)) + "\n"


def block_text(block: Block) -> str:
    """Text of a block, in as many parts as WIDTH wants."""
    return "\n\n".join(map(_text, _fold(block)))


def _fold(block: Block) -> list[Block]:
    """Parts of a block that fit WIDTH, as few and as even as can be, each with the naming columns again."""
    names, numbers = list(range(block.names)), list(range(block.names, len(block.columns)))
    for size in range(len(numbers), 0, -1):
        size = math.ceil(len(numbers) / math.ceil(len(numbers) / size))
        parts = [block.part(names + numbers[i : i + size]) for i in range(0, len(numbers), size)]
        if all(_width(part) <= WIDTH for part in parts):
            break
    return parts


def _width(block: Block) -> int:
    return sum(block.widths) + 2 * (len(block.widths) - 1)


def _text(block: Block) -> str:
    rule = "-" * _width(block)
    head = [block.title, *(textwrap.wrap(f"({block.note})", NOTE_WIDTH) if block.note else [])]
    lines = [*head, rule, _line(block, block.columns), rule]
    lines += [_line(block, row) for row in block.references]
    if block.references and block.rows:
        lines.append(rule)
    return "\n".join([*lines, *(_line(block, row) for row in block.rows)])


def _line(block: Block, cells: tuple[str, ...]) -> str:
    aligned = [
        cell.ljust(width) if i < block.names else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, block.widths, strict=True))
    ]
    return "  ".join(aligned).rstrip()


BOUND_METRICS = (*BOUNDS, *STANDS_IN, "val_ppl")


def essential_metrics() -> list[str]:
    """The metrics of samples that are printed in the terminal too."""
    return [name for name, shown in sampling().items() if shown.essential]


def headline(summary: pl.DataFrame) -> dict[str, float]:
    """Bounds and the essential metrics of samples, by METRIC/SWEEP, and METRIC/SWEEP/steps_K where there is a budget.

    Sweeps that are given tokens are left out; each other one is at its temperature nearest to 1.
    """
    wanted = pl.col("metric").is_in([*BOUND_METRICS, *essential_metrics()]) & (pl.col("given") == "")
    rows = at_base_temperature(summary.filter(wanted & pl.col("token_steps").is_not_null()))
    rows = pl.concat([summary.filter(wanted & pl.col("token_steps").is_null()), rows])
    return {
        f"{row['metric']}/{row['model']}" + (f"/steps_{row['token_steps']}" if row["token_steps"] else ""): row["value"]
        for row in rows.iter_rows(named=True)
    }
