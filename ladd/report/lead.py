"""The sentence at the top of the page."""

from __future__ import annotations

import polars as pl

from ladd.report.few_step import CLEAR, EQUAL_ENTROPY, Comparison, lower_half, versus_mdlm
from ladd.report.labels import COSTS, REFERENCES, comparators, family_name, plain, schedule_name, uncertain
from ladd.report.matched import FRONTIER, Curve, Point
from ladd.report.select import sampled, with_entropy


def lead(summary: pl.DataFrame) -> str:
    """What came out, in a sentence or three; "" without samples.

    SWD: who is nearest to real data at the fewest token steps, beside the floor. Text: whether LADD is below MDLM at
    the smallest compute that both have, at equal entropy; at how many budgets of the few-step half; real text.
    """
    return _swd(summary) or _text(summary)


def _swd(summary: pl.DataFrame) -> str:
    swd = sampled(summary, "swd")
    models = swd.filter(~pl.col("family").is_in([*REFERENCES]) & pl.col("token_steps").is_not_null())
    if models.is_empty():
        return ""
    steps = min(models["token_steps"].to_list())
    few = models.filter(pl.col("token_steps") == steps).sort("value")
    parts = [f"With {_count(steps, 'token step')}, {_of(few.row(0, named=True))} comes nearest to real data"]
    parts += [_of(row) for row in few.filter(pl.col("family").is_in(comparators())).head(1).iter_rows(named=True)]
    floor = [_distance(row) for row in swd.filter(pl.col("family") == "real").head(1).iter_rows(named=True)]
    return "; ".join([*parts, *(f"two real sets are {text} apart" for text in floor)]) + "."


def _of(row: dict) -> str:
    name = " ".join(filter(None, (family_name(row["family"], row["model"]), schedule_name(row["schedule"], None))))
    passes = "" if row["nfe"] is None else f", {row['nfe']:g} network pass{'es' * (row['nfe'] > 1)}"
    return f"{name} ({row['model']}{passes}: SWD {_distance(row)})"


def _distance(row: dict) -> str:
    return _spaced(uncertain(row["value"], row["stderr"], 4))


def _text(summary: pl.DataFrame) -> str:
    compared = versus_mdlm(summary)
    sentences = [_smallest(compared), _half(compared)] if compared else [_best(summary)]
    real = with_entropy(sampled(summary, "gen_ppl").filter(pl.col("family") == "real"), summary)
    for row in real.head(1).iter_rows(named=True):
        sentences.append(f"Real text: {_quality(Point(0.0, row['value'], row['stderr'], row['entropy']))}.")
    return " ".join(filter(None, sentences))


def _smallest(compared: list[Comparison]) -> str:
    """The best LADD model at the smallest budget that one shares with MDLM."""
    budget = min(comparison.budget for comparison in compared)
    there = [comparison for comparison in compared if comparison.budget == budget]
    equal = [comparison for comparison in there if comparison.equal_entropy]
    best = min(equal or there, key=lambda comparison: comparison.difference)
    mdlm = f"MDLM ({best.baseline.model}, {_count(best.token_steps, 'token step')}: {_quality(best.mdlm)})"
    start = f"At {plain(budget)} {COSTS[FRONTIER].unit} per sample"
    ladd = f"{_model(best.curve)} ({best.curve.model}: {_quality(best.ladd)})"
    gap = _spaced(uncertain(abs(best.difference), best.error, 1))
    if not equal:
        return f"{start}, no LADD model has the entropy of {mdlm} within {EQUAL_ENTROPY:g} nat; lowest is {ladd}."
    if best.difference >= 0:
        return f"{start}, no LADD model is below {mdlm} at equal entropy; nearest is {ladd}, {gap} higher."
    doubt = "" if best.clear else f", less than {CLEAR:g} standard errors, so not clearly"
    return f"{start}, {ladd} is below {mdlm} at equal entropy by {gap}{doubt}."


def _half(compared: list[Comparison]) -> str:
    """At how many budgets of the few-step half some LADD model is clearly below MDLM."""
    budgets = lower_half(compared[0].baseline)
    clear = {comparison.budget for comparison in compared if comparison.clear} & set(budgets)
    return (
        f"In the few-step half a LADD model is below MDLM at equal entropy by more than {CLEAR:g} standard errors at "
        f"{len(clear)} of {_count(len(budgets), 'budget')}."
    )


def _best(summary: pl.DataFrame) -> str:
    """Without a pair to compare: the lowest Gen PPL at the fewest steps."""
    models = with_entropy(sampled(summary, "gen_ppl"), summary).filter(
        ~pl.col("family").is_in([*REFERENCES]) & pl.col("token_steps").is_not_null()
    )
    for row in models.sort("token_steps", "value").head(1).iter_rows(named=True):
        quality = _quality(Point(0.0, row["value"], row["stderr"], row["entropy"]))
        name = family_name(row["family"], row["model"])
        return f"With {_count(row['token_steps'], 'token step')}, {name} ({row['model']}: {quality}) is lowest."
    return ""


def _model(curve: Curve) -> str:
    return " ".join(filter(None, (family_name(curve.family, curve.model), schedule_name(curve.schedule, None))))


def _quality(point: Point) -> str:
    entropy = "" if point.entropy is None else f", entropy {point.entropy:.2f}"
    return f"Gen PPL {_spaced(uncertain(point.value, point.error, 1))}{entropy}"


def _spaced(text: str) -> str:
    return text.replace("±", " ± ")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
