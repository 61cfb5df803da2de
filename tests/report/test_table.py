"""Means, standard errors and refusals, against numbers worked out by hand."""

from __future__ import annotations

import math
import re

import polars as pl
import pytest

from ladd.errors import ArtifactError
from ladd.report.blocks import render
from ladd.report.cells import WIDTH
from ladd.report.labels import sampling_note
from ladd.report.select import summarise


def one(summary: pl.DataFrame, **keys) -> dict:
    found = summary.filter(**keys)
    assert found.height == 1
    return found.row(0, named=True)


def test_mean_and_standard_error_over_seeds(rows, table):
    summary = summarise(table(rows))
    # 0.10, 0.14, 0.12: mean 0.12, deviations -0.02, 0.02, 0, so variance 0.0008 / 2 and standard error 0.02 / sqrt 3.
    three = one(summary, model="mdlm", metric="swd", token_steps=1)
    assert three["value"] == pytest.approx(0.12)
    assert three["stderr"] == pytest.approx(0.02 / math.sqrt(3))
    assert (three["seeds"], three["n"], three["nfe"], three["gmacs_per_sample"]) == (3, 100, 1, 0.5)
    # 0.003, 0.005: half the difference is the standard error of two.
    floor = one(summary, family="real")
    assert (floor["value"], floor["stderr"]) == (pytest.approx(0.004), pytest.approx(0.001))


def test_a_single_row_keeps_its_own_standard_error(rows, table):
    summary = summarise(table(rows))
    assert one(summary, model="ar")["stderr"] == 0.01
    assert one(summary, model="ar")["seeds"] == 1
    assert one(summary, metric="token_elbo")["stderr"] == 0.0011
    assert one(summary, metric="token_elbo")["seeds"] == 0
    assert one(summary, metric="token_loss_clean_latent")["stderr"] is None


def test_over_trainings_their_spread_is_the_error_and_that_of_measuring_stands_beside_it(rows, table):
    mdlm = [row for row in rows if row["model"] == "mdlm" and row["token_steps"] == 1]  # 0.10, 0.14, 0.12
    again = [row | {"replicate": 2, "value": row["value"] + 0.06} for row in mdlm]
    bound = next(row for row in rows if row["metric"] == "token_elbo")  # 0.5731, error 0.0011
    more = [bound | {"replicate": 2, "value": 0.5761, "stderr": 0.0013}]
    summary = summarise(table([*rows, *again, *more]))
    found = one(summary, model="mdlm", metric="swd", token_steps=1)
    assert (found["value"], found["stderr"]) == (pytest.approx(0.15), pytest.approx(0.03))
    assert found["within"] == pytest.approx(0.02 / math.sqrt(3) / math.sqrt(2))
    assert (found["seeds"], found["replicates"]) == (3, 2)
    likelihood = one(summary, metric="token_elbo")
    assert (likelihood["value"], likelihood["stderr"]) == (pytest.approx(0.5746), pytest.approx(0.0015))
    assert likelihood["within"] == pytest.approx(math.sqrt((0.0011**2 + 0.0013**2) / 2 / 2))
    assert one(summary, model="ar")["replicates"] == 1


def test_note_says_what_an_error_is_over(rows, table):
    mdlm = [row for row in rows if row["model"] == "mdlm" and row["token_steps"]]
    assert sampling_note(summarise(table(mdlm))) == "mean ± standard error over 3 seeds of n = 100 samples each"
    both = [*mdlm, *(row | {"replicate": 2} for row in mdlm), *(row for row in rows if row["family"] == "real")]
    note = "mean ± standard error over 2 trainings, of each 3 seeds of n = 100 samples"
    assert sampling_note(summarise(table(both))) == note


def test_schedules_and_steps_stay_apart(rows, table):
    ladd = summarise(table(rows)).filter(family="di-ladd", metric="swd")
    assert ladd.select("schedule", "token_steps").rows() == [("joint", 1), ("joint", 4), ("sequential", 1)]
    assert ladd["value"].to_list() == pytest.approx([0.10, 0.02, 0.008])


def test_temperatures_and_given_tokens_stay_apart(rows, table):
    more = [row | {"temperature": 0.5, "value": 1.0} for row in rows if row["model"] == "mdlm" and row["token_steps"]]
    more += [
        row | {"given": "prefix-16", "value": 2.0} for row in rows if row["model"] == "mdlm" and row["token_steps"]
    ]
    mdlm = summarise(table(rows + more)).filter(model="mdlm", token_steps=1)
    assert mdlm.select("given", "temperature", "value", "seeds").rows() == [
        ("", None, pytest.approx(0.12), 3),
        ("", 0.5, 1.0, 3),
        ("prefix-16", None, 2.0, 3),
    ]


def test_empty_texts_that_a_csv_file_made_null_are_one(rows, table):
    mixed = [row | {"given": None, "tokenizer": None} if row["seed"] else row for row in rows]
    assert summarise(table(mixed)).equals(summarise(table(rows)))


def test_costs_are_averaged_over_seeds(rows, table):
    timed = [row | {"seconds_per_sample": 1.0 + row["seed"]} if row["seed"] is not None else row for row in rows]
    assert one(summarise(table(timed)), model="mdlm", token_steps=1)["seconds_per_sample"] == pytest.approx(2.0)


def test_references_come_first(rows, table):
    assert summarise(table(rows))["family"].unique(maintain_order=True).to_list() == [
        "oracle",
        "exact",
        "real",
        "ar",
        "mdlm",
        "di-ladd",
    ]


@pytest.mark.parametrize(("column", "value"), [("evaluator_version", "2"), ("precision", "float32"), ("n", 50)])
def test_unlike_rows_are_never_averaged(rows, table, column, value):
    changed = next(i for i, row in enumerate(rows) if row["model"] == "mdlm" and row["token_steps"] == 4)
    mixed = [row | {column: value} if i == changed else row for i, row in enumerate(rows)]
    with pytest.raises(ArtifactError, match=rf"^{column} .*{value}.*model=mdlm.*token_steps=4"):
        summarise(table(mixed))


def test_other_measurements_may_differ_in_version(rows, table):
    changed = [row | {"evaluator_version": "2"} if row["metric"] == "token_elbo" else row for row in rows]
    assert one(summarise(table(changed)), metric="token_elbo")["evaluator_version"] == "2"


def test_a_repeated_seed_is_refused(rows, table):
    with pytest.raises(ArtifactError, match=r"seed 1 of replicate 1 repeats"):
        summarise(table([*rows, rows[-1]]))


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_values_must_be_finite(rows, table, value):
    with pytest.raises(ArtifactError, match="value is"):
        summarise(table([*rows[:-1], rows[-1] | {"value": value}]))


def test_missing_columns_and_unknown_families_are_named(rows, table):
    with pytest.raises(ArtifactError, match="no rows"):
        summarise(table(rows).clear())
    with pytest.raises(ArtifactError, match="precision"):
        summarise(table(rows).drop("precision"))
    with pytest.raises(ArtifactError, match="gan"):
        summarise(table([*rows, rows[0] | {"family": "gan"}]))


def cells(text: str, name: str, schedule: str) -> list[list[str]]:
    return [line.split()[2:] for line in text.splitlines() if line.split()[:2] == [name, schedule]]


def test_rendered_numbers(rows, table):
    text = render(summarise(table(rows)))
    assert cells(text, "oracle", "-") == [["-", "-", "-", "0.5096"]]  # latents, token term, full bound, clean latent
    assert cells(text, "exact", "-") == [["-", "-", "0.5675", "-"]]
    # In thousandths; columns are 1, 4 and 8 token steps.
    assert cells(text, "mdlm", "-") == [["-", "0.5731±0.0011", "-", "-"], ["120.00±11.55", "30.00±5.77", "-"]]
    assert cells(text, "ar", "-") == [["-", "-", "6.00±10.00"]]
    assert cells(text, "real", "-") == [["4.00±1.00"] * 3]
    assert cells(text, "di-ladd-k4", "joint")[0] == ["L1", "K4", "w8", "-", "0.5802±0.0012", "-"]
    assert cells(text, "di-ladd-k4", "sequential") == [["+1", "8.00±1.00", "-", "-"]]
    assert "(mean ± standard error over 1 to 3 seeds of n = 100 samples each; +N: N latent steps first)" in text


def test_wide_tables_are_folded(rows, table):
    many = [
        row | {"token_steps": steps, "nfe": steps, "gmacs_per_sample": 0.5 * steps}
        for row in rows
        if row["metric"] == "swd" and row["model"] == "mdlm" and row["token_steps"] == 1
        for steps in range(1, 25)
    ]
    text = render(summarise(table(many)))
    assert max(map(len, text.splitlines())) <= WIDTH
    heads = [line.split()[2:] for line in text.splitlines() if line.startswith("model")]
    assert len(heads) > 1
    assert [int(step) for head in heads for step in head] == list(range(1, 25))
    assert len(re.findall(r"120\.00±11\.55", text)) == 24
