"""What the page of a suite tells first: how good the best models are, and the three figures that say most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from ladd.metrics.base import Metric
from ladd.report import against, labels
from ladd.report.blocks import at_budget, frontier
from ladd.report.cells import CLEAR, Record
from ladd.report.chart import SHAPES, Axis, Chart, Dot, DotChart, Key, Level, Mark, Panel, Series, axis, dashes
from ladd.report.figures import FAR, LINE, Line, frontier_caption, lines_of, logarithmic, metric_lines
from ladd.report.select import sampled

KINDS = ("bound on -log p(x)", "given latents that have seen the sequence: no bound", "reference")


class Finding(NamedTuple):
    """The best model at one budget, beside what it is held against."""

    where: str
    best: str
    value: str
    others: tuple[tuple[str, str], ...]  # name and value


class Contest(NamedTuple):
    """Models at one budget, in the main metric."""

    budget: int  # token steps
    ranked: list[dict[str, Any]]  # rows of the summary, the best first
    held: dict[str, Any] | None  # the best model that others are held against


def contests(summary: pl.DataFrame) -> list[Contest]:
    """Models at the smallest, a middle and the largest budget that several of them have."""
    metric = labels.main_metric(summary)
    rows = _shown(summary, metric)
    models = rows.drop_nulls("token_steps").filter(~pl.col("family").is_in([*labels.references()]))
    models = models.filter(~labels.of_systems("left_to_right"))
    counts = models.group_by("token_steps").len().filter(pl.col("len") > 1)
    budgets = sorted(counts["token_steps"])
    made = []
    for budget in sorted({budgets[0], budgets[len(budgets) // 2], budgets[-1]}) if budgets else []:
        there = models.filter(token_steps=budget).sort("value", descending=metric.better == "higher")
        held = there.filter(pl.col("family").is_in(labels.systems_that("comparator"))).rows(named=True)
        made.append(Contest(budget, there.rows(named=True), held[0] if held else None))
    return made


def findings(summary: pl.DataFrame) -> tuple[str, list[Finding]]:
    """Title of the main metric, and who is best in it at each budget of `contests`."""
    metric = labels.main_metric(summary)
    rows = _shown(summary, metric)
    names, real = labels.plain_names(rows), rows.filter(family=labels.REAL).rows(named=True)
    made = []
    for budget, (best, *rest), held in contests(summary):
        others = [row for row in (held, *real[:1]) if row and labels.row_key(row) != labels.row_key(best)]
        ties = [names[labels.row_key(row)] for row in rest if _tied(row, best)]
        said = tuple((names[labels.row_key(row)], _value(row, metric)) for row in others)
        several = f"{len(ties)} others" if len(ties) > 1 else ties[0] if ties else ""
        said = ((f"no worse within {CLEAR:g} standard errors:", several), *said) if ties else said
        made.append(Finding(labels.steps_name(budget), names[labels.row_key(best)], _value(best, metric), said))
    return metric.title, made


def _tied(row: Record, best: Record) -> bool:
    return abs(row["value"] - best["value"]) <= CLEAR * math.hypot(row["stderr"] or 0.0, best["stderr"] or 0.0)


def drawn(summary: pl.DataFrame) -> set[str]:
    """Captions of the figures (`ladd.report.figures`) that the charts stand for."""
    return {frontier_caption(summary), *(figure.caption for figure in against.figures())}


def charts(summary: pl.DataFrame) -> list[Chart | DotChart]:
    """Quality against budget; against diversity, or where that was not swept, against compute; likelihoods.

    A figure that the table has no rows for is left out.
    """
    metric = labels.main_metric(summary)
    shown = [figure for figure in against.figures() if figure.metric is metric and metric_lines(summary, figure)]
    swept = bool(frontier(summary)[2])
    steps = [figure for figure in shown if figure.x == against.TOKEN_STEPS]
    costs = [figure for figure in shown if figure.x != against.TOKEN_STEPS]
    made: list[Chart | DotChart] = [_budgets(summary, each) for each in ([shown] if swept else [steps, costs]) if each]
    made += [_frontier(summary)] if swept else []
    likelihood = _likelihood(summary)
    return [*made, likelihood] if likelihood is not None else made


def further(summary: pl.DataFrame) -> list[Chart]:
    """All other metrics against their budgets."""
    main = labels.main_metric(summary)
    shown: dict[str, list[against.Figure]] = {}
    for figure in against.figures():
        if figure.metric is not main and metric_lines(summary, figure):
            shown.setdefault(figure.metric.name, []).append(figure)
    return [_budgets(summary, of_metric) for of_metric in shown.values()]


def _shown(summary: pl.DataFrame, metric: type[Metric]) -> pl.DataFrame:
    return sampled(summary, metric.name).with_columns(pl.col("value", "stderr") * metric.factor)


def _value(row: Record, metric: type[Metric]) -> str:
    return said(row["value"], row["stderr"], metric.digits)


def said(value: float, stderr: float | None, digits: int) -> str:
    """A value and its standard error, in words of a page."""
    return f"{value:,.{digits}f}" + ("" if stderr is None else f" ± {stderr:,.{digits}f}")


def _budgets(summary: pl.DataFrame, figures: Sequence[against.Figure]) -> Chart:
    """A metric against budgets, a plot for each kind of them."""
    metric = figures[0].metric
    rows = _shown(summary, metric)
    names = labels.plain_names(rows)
    panels: list[Panel] = []
    keys: dict[str, Key] = {}
    notes: list[str] = []
    for figure in figures:
        lines = metric_lines(summary, figure)
        least = min(value for line in lines for value in line.rows["value"])
        floors = rows.filter(family=labels.REAL).rows(named=True)
        near = [row for row in floors if row["value"] >= least / FAR]
        log = logarithmic(lines, figure)
        ends = [end for line in lines for end in _ends(line.rows, log=log)]
        up = axis(_flat(figure.up), [*ends, *(row["value"] for row in near)], log=log)
        budgets = [value for line in lines for value in line.rows[figure.x]]
        at = sorted(set(budgets)) if figure.x == against.TOKEN_STEPS else ()
        across = axis(_plain(figure.across), budgets, log=True, at=at)
        series = tuple(_series(line, names, across, up, figure) for line in lines)
        levels = tuple(Level(up.place(row["value"]), metric.real_label, _value(row, metric)) for row in near)
        title = "token steps" if figure.x == against.TOKEN_STEPS else against.PRICES[figure.x].unit
        panels.append(Panel(title, across, up, series, levels))
        keys |= {each.name: Key(*each[:4]) for each in series}
        notes = [f"{metric.real_label}: {_value(row, metric)}, far below" for row in floors if row not in near]
    note = "; ".join([labels.sampling_note(rows), "bands and bars: one standard error", *notes])
    title = f"{metric.short} against {'budget' if len(figures) > 1 else panels[0].title}"
    return Chart(title, figures[0].caption, note, tuple(panels), tuple(keys.values()), tabs=len(panels) > 1)


def _series(line: Line, names: dict[labels.Row, str], across: Axis, up: Axis, figure: against.Figure) -> Series:
    marks, x, metric = [], figure.x, figure.metric
    for row in line.rows.iter_rows(named=True):
        name = names[labels.row_key(row)]
        steps = "" if row["token_steps"] is None else labels.steps_name(row["token_steps"])
        cost = "" if x == against.TOKEN_STEPS else f"{labels.plain(row[x])} {against.PRICES[x].unit}"
        words = (name, ", ".join(filter(None, (steps, cost))), f"{metric.short} {_value(row, metric)}")
        marks.append(_mark(across.place(row[x]), row, up, words))
    return Series(name, line.colour, dashes(line.sampler.line), _shape(line), tuple(marks))


def _shape(line: Line) -> str:
    """Shape of its marks, by its number among the lines of its family and schedule."""
    return SHAPES[line.sampler.markers.index(line.marker) % len(SHAPES)]


def _bar(row: Record, *, log: bool) -> tuple[float, float]:
    """Ends of an error bar; one to zero has no end where ``log``."""
    low, high = _edges(row)
    return max(low, row["value"] / 10) if log else low, high


def _ends(rows: pl.DataFrame, *, log: bool) -> list[float]:
    return [end for row in rows.iter_rows(named=True) for end in _bar(row, log=log)]


def _mark(x: float, row: Record, up: Axis, words: tuple[str, ...], *, strong: bool = False) -> Mark:
    low, high = map(up.place, _bar(row, log=up.log))
    return Mark(x, up.place(row["value"]), low, high, words, strong)


def _frontier(summary: pl.DataFrame) -> Chart:
    """Quality against diversity over temperatures, a plot for each step budget, with real data."""
    rows, real, budgets = frontier(summary)
    better, beside = (labels.in_role(summary, role) for role in ("quality", "diversity"))
    drawn = pl.concat([at_budget(rows, budget) for budget in budgets]).unique(maintain_order=True)
    lines, names, every = lines_of(drawn), labels.plain_names(drawn), pl.concat([drawn, real])
    up = axis(_flat(better.axis or better.short), _ends(every, log=True), log=True)
    across = axis(_flat(beside.axis or beside.short), every["diversity"], log=False)
    floor = Series(
        better.real_label,
        labels.REAL_COLOUR,
        "",
        SHAPES[0],
        tuple(
            _mark(across.place(row["diversity"]), row, up, (better.real_label, *_both(row, better, beside)))
            for row in real.iter_rows(named=True)
        ),
    )
    panels = []
    for budget in budgets:
        series = []
        for key, group in at_budget(rows, budget).sort("temperature").group_by(LINE, maintain_order=True):
            marks, line = [], lines[key]
            for row in group.iter_rows(named=True):
                name, heat = names[labels.row_key(row)], row["temperature"]
                words = (name, f"temperature {heat:g}", *_both(row, better, beside))
                marks.append(_mark(across.place(row["diversity"]), row, up, words, strong=heat == 1))
            series.append(Series(name, line.colour, dashes(line.sampler.line), _shape(line), tuple(marks)))
        panels.append(Panel(f"at {labels.steps_name(budget)}", across, up, (*series, floor)))
    temperatures = ", ".join(f"{heat:g}" for heat in sorted(set(drawn["temperature"])))
    note = f"{labels.sampling_note(drawn)}; along a line temperature {temperatures}; dark edge: 1"
    keys = {each.name: Key(*each[:4]) for panel in panels for each in panel.series}
    caption = frontier_caption(summary)
    return Chart(f"{better.short} against {beside.short}", caption, note, tuple(panels), tuple(keys.values()))


def _both(row: Record, better: type[Metric], beside: type[Metric]) -> tuple[str, str]:
    return f"{better.short} {_value(row, better)}", f"{beside.short} {row['diversity']:.2f}"


def _likelihood(summary: pl.DataFrame) -> DotChart | None:
    """Bounds of every model, and what only looks like one; None without any."""
    perplexity = labels.PERPLEXITY in summary["metric"]
    if perplexity:
        full = summary.filter(metric=labels.BOUND).with_columns(
            value=pl.col("value").exp(), stderr=pl.col("stderr") * pl.col("value").exp()
        )
        rows, title = pl.concat([summary.filter(metric=labels.PERPLEXITY), full]), "Validation perplexity, per token"
    else:
        wanted = [*labels.BOUNDS, *labels.STANDS_IN]
        rows, title = summary.filter(pl.col("metric").is_in(wanted)), "Likelihood, in nats per token"
    if rows.is_empty():
        return None
    edges = [edge for row in rows.iter_rows(named=True) for edge in _edges(row)]
    across = axis(title, [edge for edge in edges if edge > 0 or not perplexity], log=perplexity)
    names, digits = labels.plain_names(rows), 2 if perplexity else 4
    made: dict[str, list[Dot]] = {}
    for row in rows.iter_rows(named=True):
        words = (names[labels.row_key(row)], _term(row), said(row["value"], row["stderr"], digits))
        low, high = map(across.place, _edges(row))
        dot = Dot(across.place(row["value"]), low, high, _kind(row), words)
        made.setdefault(words[0], []).append(dot)
    means = labels.PERPLEXITY_MEANING if perplexity else labels.BOUNDS_MEANING
    used = {dot.kind for dots in made.values() for dot in dots}
    kinds = tuple(kind if i in used else "" for i, kind in enumerate(KINDS))
    over = labels.error_note(rows)
    return DotChart(
        title, f"{means[0].upper()}{means[1:]}", over, across, tuple((n, tuple(d)) for n, d in made.items()), kinds
    )


def _edges(row: Record) -> tuple[float, float]:
    error = row["stderr"] or 0.0
    return row["value"] - error, row["value"] + error


def _kind(row: Record) -> int:
    """Number in KINDS."""
    if row["family"] in labels.references():
        return 2
    return int(labels.is_conditional(row["family"], row["schedule"]) and row["metric"] != labels.BOUND)


def _term(row: Record) -> str:
    named = labels.BOUNDS | labels.PERPLEXITIES | {name: name.replace("_", " ") for name in labels.STANDS_IN}
    return f"{named[row['metric']]}: {KINDS[_kind(row)]}" if _kind(row) < 2 else named[row["metric"]]


def _flat(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Without the mathematics of matplotlib."""
    return _flat(text).replace("$10^9$", "10⁹").replace("$", "")
