"""The summary as blocks of text cells, in the order of the page."""

from __future__ import annotations

import polars as pl

from ladd.report.cells import Block, Record, flagged, tabulate
from ladd.report.few_step import few_step_half
from ladd.report.frontier import frontier_blocks
from ladd.report.labels import (
    BOUNDS,
    BOUNDS_NOTE,
    COSTS,
    PERPLEXITY_NOTE,
    STANDS_IN,
    ZERO_SHOT,
    ZERO_SHOT_NOTE,
    sampling,
    sampling_note,
    uncertain,
)
from ladd.report.matched import matched
from ladd.report.select import sampled, with_entropy

VAL_PPL, BOUND_PPL, BOUND = "data Val PPL", "full bound, PPL", "full bound, nats per token"


def blocks(summary: pl.DataFrame) -> list[Block]:
    """Likelihoods, what was sampled, matched compute, the frontier, then whatever else; empty blocks are left out."""
    metric = pl.col("metric")
    of_text = metric.is_in(["val_ppl", "full_bound"]) if "val_ppl" in summary["metric"] else pl.lit(value=False)
    bounds = metric.is_in([*BOUNDS, *STANDS_IN]) & ~of_text
    zero_shot, swept = metric.str.starts_with(ZERO_SHOT), metric.is_in(list(sampling()))
    candidates = [
        _bounds(summary.filter(bounds)),
        _perplexities(summary.filter(of_text)),
        _zero_shot(summary.filter(zero_shot)),
    ]
    for name in sampling():
        candidates.append(_by_steps(summary, name, given=""))
        if name == "gen_ppl":
            candidates += [*(matched(summary, x) for x in COSTS), few_step_half(summary), throughput(summary)]
            candidates += frontier_blocks(summary)
    for given in sorted(set(summary["given"]) - {""}):
        candidates += [_by_steps(summary, name, given) for name in sampling()]
    candidates.append(_others(summary.filter(~bounds & ~of_text & ~zero_shot & ~swept)))
    return [block for block in candidates if block.rows or block.references]


def _bounds(summary: pl.DataFrame) -> Block:
    def column(row: Record) -> str:
        metric: str = row["metric"]
        return BOUNDS[STANDS_IN.get(metric, metric)]

    title = "Likelihood terms, in nats per token (value ± standard error)"
    return tabulate(title, BOUNDS_NOTE, summary, list(BOUNDS.values()), column, flagged(4))


def _perplexities(summary: pl.DataFrame) -> Block:
    """Validation perplexities. The bound is stored in nats per token; the error of exp b is exp b times that of b."""
    bound = summary.filter(pl.col("metric") == "full_bound")
    value, error = pl.col("value").exp(), pl.col("stderr") * pl.col("value").exp()
    as_perplexity = bound.with_columns(value.alias("value"), error.alias("stderr"), metric=pl.lit("bound_ppl"))
    names = {"val_ppl": VAL_PPL, "bound_ppl": BOUND_PPL, "full_bound": BOUND}

    def column(row: Record) -> str:
        return names[row["metric"]]

    def text(row: Record) -> str:
        return flagged(4 if row["metric"] == "full_bound" else 2)(row)

    title = "Validation perplexity, per token (value ± standard error over documents)"
    rows = pl.concat([summary, as_perplexity])
    return tabulate(title, PERPLEXITY_NOTE, rows, list(names.values()), column, text)


def _zero_shot(summary: pl.DataFrame) -> Block:
    corpora = sorted({name.removeprefix(ZERO_SHOT) for name in summary["metric"]})

    def column(row: Record) -> str:
        return row["metric"].removeprefix(ZERO_SHOT)

    title = "Zero-shot perplexity, per token, by corpus (value ± standard error over documents)"
    return tabulate(title, ZERO_SHOT_NOTE, summary, corpora, column, flagged(2)).without_latents()


def _by_steps(summary: pl.DataFrame, metric: str, given: str) -> Block:
    shown = sampling()[metric]
    rows = sampled(summary, metric, given).with_columns(pl.col("value", "stderr") * shown.factor)
    steps = [str(step) for step in sorted(rows["token_steps"].drop_nulls().unique())] or ["any"]
    latents_first = (rows["latent_steps"].fill_null(0) > 0).any()
    note = sampling_note(rows) + ("; +N: N latent steps first" if latents_first else "")
    title = f"{shown.title}, by token steps" + (f", given {given}" if given else "")

    def column(row: Record) -> str | None:
        return None if row["token_steps"] is None else str(row["token_steps"])

    def text(row: Record) -> str:
        return uncertain(row["value"], row["stderr"], shown.digits)

    block = tabulate(title, note, rows, steps, column, text).without_latents()
    return block if shown.essential and not given else block.inessential()


def _others(summary: pl.DataFrame) -> Block:
    def column(row: Record) -> str:
        words = [row["metric"]]
        words += [] if row["token_steps"] is None else [f"{row['token_steps']} steps"]
        return ", ".join([*words, *filter(None, [row["given"]])])

    labels = sorted({column(row) for row in summary.iter_rows(named=True)})
    return tabulate("Other measurements, each in its own unit", "", summary, labels, column, flagged(4))


def throughput(summary: pl.DataFrame) -> Block:
    """Sequences per second per point of Gen PPL, 1 / (seconds x Gen PPL), by token steps; higher is better.

    Returns:
        Rows are models and schedules, columns token steps. The standard error is that of Gen PPL alone: seconds are one
        measurement per seed on one machine.
    """
    rows = with_entropy(sampled(summary, "gen_ppl"), summary).filter(pl.col("seconds_per_sample") > 0)
    value = 1 / (pl.col("seconds_per_sample") * pl.col("value"))
    rows = rows.with_columns(value=value, stderr=value * pl.col("stderr") / pl.col("value"))
    steps = [str(step) for step in sorted(rows["token_steps"].drop_nulls().unique())]
    note = "entropy beside it: text of low entropy has a low Gen PPL; the standard error is that of Gen PPL alone"
    title = "Sequences per second per point of Gen PPL, in thousandths · per-sequence entropy, by token steps"

    def column(row: Record) -> str:
        return str(row["token_steps"])

    def text(row: Record) -> str:
        entropy = "" if row["entropy"] is None else f" · {row['entropy']:.2f}"
        error = None if row["stderr"] is None else 1000 * row["stderr"]
        return uncertain(1000 * row["value"], error, 2) + entropy

    return tabulate(title, note, rows, steps, column, text).without_latents().inessential()
