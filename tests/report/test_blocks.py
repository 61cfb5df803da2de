"""Blocks of a text suite: perplexities with their flag, sampling metrics by steps, given tokens apart."""

from __future__ import annotations

import math

import pytest

from ladd.report.blocks import blocks, render
from ladd.report.cells import WIDTH
from ladd.report.select import summarise


def found(summary, title: str):
    [block] = [block for block in blocks(summary) if block.title.startswith(title)]
    return block, {row[0]: row[block.names :] for row in (*block.references, *block.rows)}


def test_val_ppl_of_latents_is_flagged_and_the_bound_becomes_a_perplexity(text_rows, table):
    block, cells = found(summarise(table(text_rows)), "Validation perplexity")
    assert block.columns[3:] == ("data Val PPL", "full bound, PPL", "full bound, nats per token")
    assert "no bound on -log p(x)" in block.note
    assert cells["unigram"] == ("500.00±0.01", "-", "-")
    assert [row[0] for row in block.references] == ["unigram"]
    assert cells["mdlm"] == ("90.00±0.90", "-", "-")
    assert cells["co-8"] == ("(80.00±0.80)", "-", "-")
    bound = math.exp(4.5)
    assert cells["di-8"] == ("-", f"{bound:.2f}±{0.01 * bound:.2f}", "4.5000±0.0100")


def test_the_token_term_of_a_system_without_latents_may_be_none_either(rows, table):
    """CADD's vectors tell of the tokens that they stand for."""
    cadd = [row | {"model": "cadd", "family": "cadd"} for row in rows if row["metric"] == "token_elbo"]
    _, cells = found(summarise(table([*rows, *cadd])), "Likelihood terms")
    assert cells["cadd"][0] == "(0.5731±0.0011)"
    assert cells["mdlm"][0] == "0.5731±0.0011"


def test_the_token_term_under_a_sampler_may_be_none(rows, table):
    """One vector for all steps: a page of VADD gave its token term, 1.83, as a bound where the bound was 1.88."""
    rows = [row | {"family": "vadd"} for row in rows if row["family"] == "mdlm" and row["metric"] == "token_elbo"]
    kept = [row | {"model": "kept", "schedule": "vadd"} for row in rows]
    _, cells = found(summarise(table([*rows, *kept])), "Likelihood terms")
    assert (cells["mdlm"][0], cells["kept"][0]) == ("0.5731±0.0011", "(0.5731±0.0011)")


def test_zero_shot_has_a_column_per_corpus(text_rows, table):
    block, cells = found(summarise(table(text_rows)), "Zero-shot perplexity")
    assert block.columns[2:] == ("news", "wiki")
    assert cells["mdlm"] == ("140.00±2.00", "-")
    assert cells["co-8"] == ("(120.00±2.00)", "(130.00±2.00)")


def test_gen_ppl_by_steps(text_rows, table):
    block, cells = found(summarise(table(text_rows)), "Gen PPL (perplexity")
    assert block.columns == ("model", "schedule", "1", "2", "4", "8", "64")
    assert cells["shuffled"] == ("1260.0±9.0",) * 5
    assert cells["ar"] == ("-", "-", "-", "-", "150.0±4.0")
    assert cells["mdlm"] == ("1000.0±30.0", "600.0±20.0", "400.0±10.0", "300.0±5.0", "-")


def test_every_sampling_metric_has_a_block(text_rows, table):
    like = next(row for row in text_rows if row["metric"] == "gen_ppl" and row["token_steps"] == 4)
    names = [*(f"distinct_{n}" for n in (1, 2, 3, 4)), "mauve", "seconds_per_sequence", "entropy_positional"]
    summary = summarise(table([*text_rows, *(like | {"metric": name, "value": 0.5} for name in names)]))
    for title, cell in (("distinct-3", "0.5000±0.0100"), ("MAUVE", "0.500±0.010"), ("Sampling time", "500.00±10.00")):
        assert found(summary, title)[1] == {"mdlm": (cell,)}
    assert not [block for block in blocks(summary) if block.title.startswith("Other")]


def test_given_tokens_have_blocks_of_their_own(text_rows, table):
    given = [row | {"given": "prefix-16", "value": 7.0} for row in text_rows if row["token_steps"] == 4]
    summary = summarise(table([*text_rows, *given]))
    free = {block.title: block for block in blocks(summarise(table(text_rows)))}
    both = {block.title: block for block in blocks(summary)}
    assert {title: both[title] for title in free} == free
    conditional = set(both) - set(free)
    assert len(conditional) == 2
    assert all(title.endswith("given prefix-16") for title in conditional)
    assert not any(both[title].essential for title in conditional)


@pytest.mark.parametrize(("swept", "name"), [([0.5], "T=0.5"), ([0.5, 0.9, 1.2], "T=0.9"), ([0.5, 1.0], "-")])
def test_tables_take_the_temperature_nearest_to_one(text_rows, table, swept, name):
    ar = [row | {"temperature": t, "value": t} for row in text_rows if row["model"] == "ar" for t in swept]
    summary = summarise(table([row for row in text_rows if row["model"] != "ar"] + ar))
    block, cells = found(summary, "Gen PPL (perplexity")
    [label] = [row[1] for row in block.rows if row[0] == "ar"]
    nearest = min(swept, key=lambda t: abs(t - 1))
    assert label == name
    assert cells["ar"][-1].startswith(f"{nearest:.1f}")


def test_terminal_shows_the_essential_and_folds(text_rows, table):
    text = render(summarise(table(text_rows)))
    titles = [
        "Validation perplexity",
        "Zero-shot",
        "Gen PPL (perplexity",
        "Gen PPL · entropy at matched backbone",
    ]
    assert [text.index(title) for title in titles] == sorted(text.index(title) for title in titles)
    assert "Few-step half" in text
    assert "true GFLOPs" not in text
    tables = [line for line in text.splitlines() if not line.startswith("(") and "±" in line]
    assert max(map(len, tables)) <= WIDTH
