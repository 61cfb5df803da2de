"""Verdicts on claims, by hand: over trainings, of one, and where there is nothing to look up."""

from __future__ import annotations

import math

import polars as pl
import pytest
from scipy import stats

from ladd.config.claims import Claim, Quantity, quantities
from ladd.report.claims import Verdict, block, counts, judge, judged, sentence


def claim(text: str) -> dict[str, Claim]:
    return {"it": Claim(says="It is so.", claim=text)}


def verdict(text: str, table) -> Verdict:
    return judge(claim(text), table)["it"]


@pytest.fixture
def trained(rows, table):
    """MDLM at one step: 0.12 ± 0.0115 (three seeds); Di-LADD there 0.10 ± 0.01 (two), sequential 0.008 ± 0.001."""
    return table(rows)


@pytest.fixture
def replicated(rows, table):
    """Three trainings of MDLM and of Di-LADD joint at one step, a seed each: differences 0.01, 0.03, 0.02."""
    kept = [row for row in rows if row["token_steps"] != 1]
    mdlm = next(row for row in rows if row["model"] == "mdlm" and row["token_steps"] == 1)
    joint = next(row for row in rows if row["schedule"] == "joint" and row["token_steps"] == 1)
    values = [(mdlm, (0.11, 0.14, 0.12)), (joint, (0.10, 0.11, 0.10))]
    more = [
        row | {"value": value, "replicate": number, "seed": number - 1}
        for row, of_row in values
        for number, value in enumerate(of_row, start=1)
    ]
    return table([row for row in kept if row["model"] != "di-ladd-k4" or row["schedule"] == "joint"] + more)


def test_one_training_has_the_error_of_measuring_both_sides(trained):
    found = verdict('swd("mdlm", 4) < 0.5 * swd("mdlm", 1)', trained)
    error = math.hypot(0.01 / math.sqrt(3), 0.5 * 0.02 / math.sqrt(3))
    assert (found.margin, found.stderr) == (pytest.approx(0.03), pytest.approx(error))
    assert found.p == pytest.approx(stats.norm.sf(0.03 / error))
    assert (found.verdict, found.trainings) == ("holds", 1)
    assert verdict('swd("mdlm", 4) > 0.5 * swd("mdlm", 1)', trained).verdict == "fails"


def test_trainings_are_paired_and_their_spread_is_the_error(replicated):
    found = verdict('swd("di-ladd-k4", 1) < swd("mdlm", 1)', replicated)
    assert (found.margin, found.stderr) == (pytest.approx(0.02), pytest.approx(0.01 / math.sqrt(3)))
    assert found.p == pytest.approx(stats.t.sf(2 * math.sqrt(3), 2))
    assert (found.verdict, found.trainings, found.needed) == ("holds", 3, None)


def test_undecided_claims_say_how_many_trainings_would_decide_them(replicated):
    found = verdict('swd("di-ladd-k4", 1) < swd("mdlm", 1) - 0.012', replicated)
    assert found.verdict == "undecided"
    assert found.margin == pytest.approx(0.008)
    enough = [n for n in range(2, 200) if stats.t.sf(0.008 / (0.01 / math.sqrt(n)), n - 1) < 0.05]
    assert found.needed == enough[0]
    assert f"{found.needed} trainings would decide it" in sentence(found)


def test_error_of_a_reference_is_shared_by_all_trainings(replicated):
    found = verdict('swd("real") < swd("mdlm", 1)', replicated)  # real data: 0.004 ± 0.001
    spread = stats.tstd([0.11, 0.14, 0.12])
    assert found.stderr == pytest.approx(math.hypot(spread / math.sqrt(3), 0.001))


def test_exact_numbers_decide_without_an_error(trained):
    assert verdict('token_loss_clean_latent("oracle") < 0.51', trained).verdict == "undecided"  # of unknown error
    exact = trained.with_columns(stderr=0.0)
    assert verdict('token_loss_clean_latent("oracle") < 0.51', exact)[:4] == (
        "holds",
        pytest.approx(0.0004),
        0.0,
        0.0,
    )
    assert verdict('token_loss_clean_latent("oracle") > 0.51', exact).verdict == "fails"


def test_functions_and_names_that_are_no_words(trained):
    found = verdict('abs(log(value("swd", "mdlm", 1))) > exp(0)', trained)
    assert found.margin == pytest.approx(abs(math.log(0.12)) - 1)


@pytest.mark.parametrize("extreme", [max, min])
def test_extremes_are_those_of_each_training(replicated, extreme):
    found = verdict(f'{extreme.__name__}(swd("di-ladd-k4", 1), swd("mdlm", 1) - 0.02) < 1', replicated)
    pairs = zip((0.10, 0.11, 0.10), (0.09, 0.12, 0.10), strict=True)
    assert found.margin == pytest.approx(1 - sum(map(extreme, pairs)) / 3)


def test_error_of_a_small_difference_does_not_vanish_in_abs(trained):
    """Of 0.12 - 0.1199 a standard error upwards gives as much as it would without abs, one downwards less."""
    found = verdict('abs(swd("mdlm", 1) - 0.1199) < 0.05', trained)
    assert found.stderr == pytest.approx(0.02 / math.sqrt(3))
    assert verdict('abs(swd("mdlm", 1) - 0.1201) < 0.05', trained).stderr == pytest.approx(0.02 / math.sqrt(3))


def costs(table: pl.DataFrame) -> pl.DataFrame:
    """A GFLOP per step."""
    return table.with_columns(nominal_gmacs_per_sample=pl.col("token_steps").cast(pl.Float64))


def test_matched_compute_is_linear_between_two_budgets(trained):
    at_four, at_one = (verdict(f'swd("mdlm", {steps}) < 1', trained) for steps in (4, 1))
    found = verdict('swd("mdlm", gflops=2) < 1', costs(trained))
    assert found.margin == pytest.approx((2 * at_one.margin + at_four.margin) / 3)
    assert found.stderr == pytest.approx(math.hypot(2 * at_one.stderr, at_four.stderr) / 3)
    assert verdict('swd("mdlm", gflops=4) < 1', costs(trained)) == at_four
    outside = verdict('swd("mdlm", gflops=5) < 1', costs(trained))
    assert outside.verdict == "not run"
    assert outside.reason == "swd of mdlm, 5 GFLOPs: it was measured from 1 to 4 GFLOPs"


def test_matched_compute_is_that_of_each_training(replicated):
    joint = replicated.filter(model="di-ladd-k4", metric="swd", token_steps=1)
    more = joint.with_columns(token_steps=pl.lit(3, pl.Int64), value=pl.col("value") - 0.06)
    found = verdict('swd("di-ladd-k4", gflops=2) < swd("mdlm", 1)', costs(pl.concat([replicated, more])))
    assert (found.margin, found.trainings) == (pytest.approx(0.05), 3)
    assert found.stderr == pytest.approx(0.01 / math.sqrt(3))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('swd("mdlm", 2) < 1', "there is no row of swd of mdlm, 2 token steps"),
        ('gen_ppl("mdlm", 1) < 1', "there is no row of gen_ppl of mdlm, 1 token steps"),
        ('swd("mdlm", 1, given="prefix-0.5") < 1', "no row of swd of mdlm, 1 token steps, prefix-0.5"),
        ('swd("di-ladd-k4", 1) < 1', "there are several rows"),
    ],
)
def test_what_was_not_measured_is_not_run(trained, text, reason):
    found = verdict(text, trained)
    assert found.verdict == "not run"
    assert reason in found.reason


@pytest.mark.parametrize(
    "text",
    [
        'swd("mdlm", 1) / swd("zero", 1) > 2',
        'log(swd("zero", 1)) - log(swd("zero", 1)) > 0',
        'log(-swd("mdlm", 1)) < 1',
    ],
)
def test_what_is_not_a_number_is_not_run(rows, table, text):
    zero = [row | {"model": "zero", "value": 0.0} for row in rows if row["model"] == "mdlm" and row["token_steps"] == 1]
    found = verdict(text, table(rows + zero))
    assert (found.verdict, found.margin) == ("not run", None)
    assert "divides by zero" in found.reason


def test_temperature_is_that_nearest_to_one_unless_it_is_asked_for(rows, table):
    rows = [row | {"temperature": 0.9} for row in rows if row["model"] == "mdlm"]
    rows += [row | {"temperature": 0.5, "value": 1.0} for row in rows]
    assert verdict('swd("mdlm", 1) < 0.2', table(rows)).margin == pytest.approx(0.08)
    assert verdict('swd("mdlm", 1, temperature=0.5) < 0.2', table(rows)).margin == pytest.approx(-0.8)


def test_failures_come_first_and_all_are_counted(trained):
    claims = {
        "larger": Claim(says="Larger.", claim='swd("mdlm", 4) < swd("mdlm", 1)'),
        "paper": Claim(says="At its size.", source="paper, Table 2", not_run="it takes GPUs"),
        "smaller": Claim(says="Smaller.", claim='swd("mdlm", 4) > swd("mdlm", 1)'),
    }
    verdicts = judge(claims, trained)
    assert counts(verdicts) == {"holds": 1, "fails": 1, "undecided": 0, "not_run": 1}
    found = judged(claims, verdicts)
    assert [each.key for each in found] == ["smaller", "larger", "paper"]
    assert found[-1].said == "not run: it takes GPUs"
    text = str(block(found))
    assert text.startswith("Claims\n(1 holds, 1 fails, 1 not run; margin")


def test_quantities_of_a_claim():
    found = quantities('swd("di-seq", 1) < 0.5 * swd("mdlm", 1) - value("zero_shot_ppl/news", "ar")')
    assert found == [Quantity("swd", "di-seq", 1), Quantity("swd", "mdlm", 1), Quantity("zero_shot_ppl/news", "ar")]
