"""The summary as blocks of text cells, in the order of the page; the text that a run prints; its headline numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ladd.report import against, labels
from ladd.report.cells import EMPTY, Block, Record, flagged, tabulate
from ladd.report.equal_diversity import equal_diversity
from ladd.report.matched import few_step_half, matched
from ladd.report.others import others
from ladd.report.select import at_base_temperature, quality, sampled

PANELS = 3  # step budgets of the frontier


def blocks(summary: pl.DataFrame) -> list[Block]:
    """All tables by topic: likelihood, quality, matched compute, temperature, other metrics of samples, given tokens,
    then whatever else; empty ones are left out."""
    metric = pl.col("metric")
    of_text = metric.is_in([labels.PERPLEXITY, labels.BOUND]) & (labels.PERPLEXITY in summary["metric"])
    bounds = metric.is_in([*labels.BOUNDS, *labels.STANDS_IN]) & ~of_text
    zero_shot, swept = metric.str.starts_with(labels.ZERO_SHOT), metric.is_in(list(labels.sampling()))
    first = labels.main_metric(summary).name
    topics = {
        "Likelihood": [
            _bounds(summary.filter(bounds)),
            _perplexities(summary.filter(of_text)),
            _zero_shot(summary.filter(zero_shot)),
        ],
        "Quality of samples": [_by_steps(summary, first, given="")] if first else [],
        "Quality at matched compute": [
            *(matched(summary, x) for x in against.PRICES),
            few_step_half(summary),
            throughput(summary),
        ],
        "Quality against diversity": [*equal_blocks(summary), *frontier_blocks(summary)],
        "Other measures of samples": [_by_steps(summary, name, "") for name in labels.sampling() if name != first],
        "Samples that were given tokens": [
            _by_steps(summary, name, given)
            for given in sorted(set(summary["given"]) - {""})
            for name in labels.sampling()
        ],
        "Everything else": others(summary.filter(~bounds & ~of_text & ~zero_shot & ~swept)),
    }
    made = [replace(block, topic=topic) for topic, found in topics.items() for block in found]
    return [block for block in made if block.rows or block.references]


def render(summary: pl.DataFrame, claims: Sequence[Block] = ()) -> str:
    """Text of the claims and of the essential blocks, at most WIDTH columns wide."""
    return "\n\n".join(str(block) for block in (*claims, *blocks(summary)) if block.essential) + "\n"


def essential_metrics() -> list[str]:
    """The metrics of samples that are printed in the terminal too."""
    return [name for name, shown in labels.sampling().items() if shown.essential]


def headline(summary: pl.DataFrame) -> dict[str, float]:
    """Bounds and the essential metrics of samples, by METRIC/SWEEP, and METRIC/SWEEP/steps_K where there is a budget.

    Sweeps that are given tokens are left out; each other one is at its temperature nearest to 1.
    """
    wanted = summary.filter(pl.col("metric").is_in([*labels.BOUND_METRICS, *essential_metrics()]), given="")
    swept = pl.col("token_steps").is_not_null()
    rows = pl.concat([wanted.filter(~swept), at_base_temperature(wanted.filter(swept))])
    return {
        f"{row['metric']}/{row['model']}" + (f"/steps_{row['token_steps']}" if row["token_steps"] else ""): row["value"]
        for row in rows.iter_rows(named=True)
    }


def _bounds(summary: pl.DataFrame) -> Block:
    title = "Likelihood terms, in nats per token (value ± standard error)"
    names = labels.BOUNDS | {name: labels.BOUNDS[bound] for name, bound in labels.STANDS_IN.items()}
    return tabulate(
        title,
        labels.BOUNDS_NOTE,
        summary,
        list(labels.BOUNDS.values()),
        lambda row: names[row["metric"]],
        flagged(4),
        better="lower",
        means=labels.BOUNDS_MEANING,
    )


def _perplexities(summary: pl.DataFrame) -> Block:
    """Validation perplexities. The bound is stored in nats per token; the error of exp b is exp b times that of b."""
    value, error = pl.col("value").exp(), pl.col("stderr") * pl.col("value").exp()
    bound = summary.filter(metric=labels.BOUND).with_columns(value=value, stderr=error, metric=pl.lit("bound_ppl"))
    title, nats, perplexities = (
        "Validation perplexity, per token (value ± standard error over documents)",
        flagged(4),
        flagged(2),
    )
    return tabulate(
        title,
        labels.PERPLEXITY_NOTE,
        pl.concat([summary, bound]),
        list(labels.PERPLEXITIES.values()),
        lambda row: labels.PERPLEXITIES[row["metric"]],
        lambda row: (nats if row["metric"] == labels.BOUND else perplexities)(row),
        better="lower",
        means=labels.PERPLEXITY_MEANING,
    )


def _zero_shot(summary: pl.DataFrame) -> Block:
    title = "Zero-shot perplexity, per token, by corpus (value ± standard error over documents)"
    summary = summary.with_columns(corpus=pl.col("metric").str.strip_prefix(labels.ZERO_SHOT))
    corpora = summary["corpus"].unique().sort().to_list()
    note, text = labels.ZERO_SHOT_NOTE, flagged(2)
    means = f"on corpora that no model was trained on; {labels.PERPLEXITY_MEANING}"
    return tabulate(
        title, note, summary, corpora, lambda row: row["corpus"], text, latents=False, better="lower", means=means
    )


def _steps(rows: pl.DataFrame) -> list[str]:
    return [str(step) for step in rows["token_steps"].drop_nulls().unique().sort()]


def _step(row: Record) -> str | None:
    return None if row["token_steps"] is None else str(row["token_steps"])


def _by_steps(summary: pl.DataFrame, metric: str, given: str) -> Block:
    shown = labels.sampling()[metric]
    rows = sampled(summary, metric, given).with_columns(pl.col("value", "stderr") * shown.factor)
    latents_first = (rows["latent_steps"].fill_null(0) > 0).any()
    return tabulate(
        f"{shown.title}, by token steps" + (f", given {given}" if given else ""),
        labels.sampling_note(rows),
        rows,
        _steps(rows) or ["any"],
        _step,
        lambda row: labels.uncertain(row["value"], row["stderr"], shown.digits),
        latents=False,
        essential=shown.essential and not given,
        better=_best_side(shown),
        means=shown.meaning,
        names_note="+N: N latent steps first" if latents_first else "",
    )


def _best_side(metric: Any) -> str:
    """Which values of a metric are the best; "" where those near to real data are."""
    if getattr(metric, "role", "") == "diversity":
        return ""
    ranked = metric.essential or metric.better == "higher" or not isinstance(metric, type)
    return metric.better if ranked else ""


def throughput(summary: pl.DataFrame) -> Block:
    """Sequences per second per point of quality, 1 / (seconds x value), by token steps; higher is better. EMPTY where
    quality is not the better the lower.

    The standard error is that of the quality alone: seconds are one measurement per seed on one machine.
    """
    better, beside = (labels.in_role(summary, role) for role in ("quality", "diversity"))
    if better.better != "lower":
        return EMPTY
    rows = quality(summary).filter(pl.col("seconds_per_sample") > 0)
    name, value = better.short, 1000 * (1 / (pl.col("seconds_per_sample") * pl.col("value")))
    return tabulate(
        f"Sequences per second per point of {name}, in thousandths · {beside.short}, by token steps",
        f"{beside.short} beside it: the lower it is, the lower is {name}; the standard error is that of {name} alone",
        rows.with_columns(value=value, stderr=value * pl.col("stderr") / pl.col("value")),
        _steps(rows),
        _step,
        lambda row: labels.with_diversity(row["value"], row["stderr"], row["diversity"], 2),
        latents=False,
        essential=False,
        better="higher",
        means="what one gets for a second of sampling on this machine; higher is better",
    )


def frontier(summary: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, list[int]]:
    """The trade between quality and diversity over temperatures, nothing given.

    Returns:
        Rows of quality of models at all temperatures and of real data, each with its diversity; and the
        step budgets at which a model that has a choice of steps has several temperatures: of many the first, middle
        and last.
    """
    rows = quality(summary, swept=True).drop_nulls("diversity")
    models = rows.drop_nulls("temperature").filter(~pl.col("family").is_in([*labels.references()]))
    swept = models.drop_nulls("token_steps").filter(~labels.of_systems("left_to_right"))
    counts = swept.group_by("suite", "model", "schedule", "latent_steps", "token_steps").len()
    budgets = sorted(set(counts.filter(pl.col("len") > 1)["token_steps"]))
    if len(budgets) > PANELS:
        budgets = [budgets[0], budgets[len(budgets) // 2], budgets[-1]]
    return models, rows.filter(family=labels.REAL), budgets


def at_budget(rows: pl.DataFrame, token_steps: int) -> pl.DataFrame:
    """Rows at one step budget; a model from left to right, which has no choice of steps, is in all."""
    return rows.filter((pl.col("token_steps") == token_steps) | labels.of_systems("left_to_right"))


def equal_blocks(summary: pl.DataFrame) -> list[Block]:
    """One block per budget of the frontier: quality at the diversity of real data."""
    better, beside = (labels.in_role(summary, role) for role in ("quality", "diversity"))
    return equal_diversity(*frontier(summary), better, beside)


def frontier_blocks(summary: pl.DataFrame) -> list[Block]:
    """One block per budget of the frontier: rows are models and schedules, columns temperatures."""
    models, real, budgets = frontier(summary)
    better, beside = (labels.in_role(summary, role) for role in ("quality", "diversity"))
    made = []
    for budget in budgets:
        rows = at_budget(models, budget)
        columns = [f"T {temperature:g}" for temperature in sorted(set(rows["temperature"]))]
        # The temperature names the column here, not the row.
        shown = pl.concat([real, rows]).with_columns(at=pl.col("temperature"), temperature=pl.lit(None, pl.Float64))
        block = tabulate(
            f"{better.short} · {beside.short} by temperature, at {labels.steps_name(budget)}",
            f"the standard error is of {better.short}; {labels.named_systems('left_to_right')} at its own steps",
            shown,
            columns,
            lambda row: None if row["at"] is None else f"T {row['at']:g}",
            lambda row: labels.with_diversity(row["value"], row["stderr"], row["diversity"]),
            latents=False,
            essential=False,
            means=f"{better.short}: {better.meaning}; {beside.short}: {beside.meaning}",
        )
        made.append(block)
    return made
