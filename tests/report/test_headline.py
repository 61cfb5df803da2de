"""The few numbers that a suite is known by."""

import pytest

from ladd.report.blocks import headline
from ladd.report.select import summarise
from tests.report.conftest import swd


def test_bounds_and_distances_of_every_sweep_are_there_by_budget(rows, table):
    found = headline(summarise(table(rows)))
    assert found["swd/mdlm/steps_1"] == pytest.approx(0.12)
    assert found["swd/real"] == pytest.approx(0.004)
    assert (found["token_elbo/mdlm"], found["entropy_rate/exact"]) == (0.5731, 0.5675)
    assert {name.split("/")[0] for name in found} == {
        *("swd", "token_elbo", "full_bound", "token_loss_clean_latent", "entropy_rate"),
    }


def test_of_text_it_is_perplexities(text_rows, table):
    found = headline(summarise(table(text_rows)))
    assert (found["val_ppl/mdlm"], found["gen_ppl/mdlm/steps_8"]) == (90.0, pytest.approx(300.0))
    assert {name.split("/")[0] for name in found} == {"val_ppl", "full_bound", "gen_ppl"}


def test_given_tokens_and_other_temperatures_are_left_out(table):
    warm = swd([0.1, 0.3], 1, temperature=1.0)
    others = swd([0.5, 0.7], 1, temperature=0.5) + swd([0.8, 0.9], 1, temperature=1.0, given="prefix-0.25")
    assert headline(summarise(table(others + warm))) == {"swd/mdlm/steps_1": pytest.approx(0.2)}
