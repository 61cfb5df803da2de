"""Rows of one metric that were not measured alike are refused, and only those."""

from __future__ import annotations

import re

import pytest

from ladd.errors import ArtifactError
from ladd.report.select import summarise


def changed(rows: list[dict], values: dict, **where) -> list[dict]:
    """The rows, with ``values`` in those that match ``where``."""
    hits = [all(row[key] == value for key, value in where.items()) for row in rows]
    assert any(hits)
    return [row | values if hit else row for row, hit in zip(rows, hits, strict=True)]


@pytest.mark.parametrize(
    ("column", "value", "was"),
    [
        ("evaluator_version", "2", "'1'"),
        ("tokenizer", "gpt2", "'bpe'"),
        ("precision", "float32", "'float64'"),
        ("n", 50, "100"),
    ],
)
def test_models_that_differ_are_refused_by_name(text_rows, table, column, value, was):
    mixed = changed(text_rows, {column: value}, model="co-8", metric="gen_ppl")
    with pytest.raises(ArtifactError) as refusal:
        summarise(table(mixed))
    words = str(refusal.value)
    assert words.startswith(f"rows of gen_ppl differ in {column}: ")
    assert f"{value!r} (co-8)" in words
    assert re.search(rf"{re.escape(was)} \(.*di-8, mdlm", words)


def test_budgets_of_one_model_must_agree_too(text_rows, table):
    mixed = changed(text_rows, {"n": 50}, model="mdlm", metric="gen_ppl", token_steps=4)
    with pytest.raises(ArtifactError, match=r"gen_ppl differ in n: .*50 \(mdlm\)"):
        summarise(table(mixed))


@pytest.mark.parametrize("family", ["real", "shuffled"])
def test_text_of_no_model_is_free_of_precision_alone(text_rows, table, family):
    summarise(table(changed(text_rows, {"precision": "bfloat16"}, family=family)))
    for values in ({"n": 50}, {"tokenizer": "gpt2"}, {"evaluator_version": "2"}):
        with pytest.raises(ArtifactError, match=rf"differ in {next(iter(values))}: .*\({family}\)"):
            summarise(table(changed(text_rows, values, family=family, metric="gen_ppl")))


def test_n_gram_models_count_the_same_sequences_unless_exact(text_rows, table):
    summarise(table(changed(text_rows, {"n": 0}, family="unigram")))
    with pytest.raises(ArtifactError, match=r"val_ppl differ in n: .*1000 \(unigram\)"):
        summarise(table(changed(text_rows, {"n": 1000}, family="unigram")))
    with pytest.raises(ArtifactError, match=r"val_ppl differ in n: 0 \(co-8\)"):
        summarise(table(changed(text_rows, {"n": 0}, model="co-8", metric="val_ppl")))


def test_known_answers_are_free_of_n_and_precision(rows, table):
    exact = {"model": "exact", "family": "exact", "metric": "token_elbo"}
    free = {"n": 7, "precision": "float32"}
    summarise(table([*rows, rows[2] | exact | free]))
    with pytest.raises(ArtifactError, match="evaluator_version"):
        summarise(table([*rows, rows[2] | exact | free | {"evaluator_version": "2"}]))


def test_a_pooled_row_is_not_compared_with_single_seeds(text_rows, table):
    pooled = [row for row in text_rows if row["metric"] == "gen_ppl" and row["model"] == "mdlm" and row["seed"] == 0]
    kept = [row for row in text_rows if row["metric"] != "gen_ppl" or row["model"] != "mdlm"]
    with pytest.raises(ArtifactError, match=r"gen_ppl differ in n: .*200 \(mdlm\)"):
        summarise(table([*kept, *(row | {"n": 200, "seed": None} for row in pooled)]))


def test_other_metrics_and_given_tokens_have_counts_of_their_own(text_rows, table):
    given = [row | {"given": "prefix-16", "n": 20} for row in text_rows if row["token_steps"] == 4]
    summary = summarise(table([*text_rows, *given]))
    assert summary.filter(metric="gen_ppl")["n"].unique().sort().to_list() == [20, 100]
    assert summary.filter(metric="zero_shot_ppl/wiki")["n"].to_list() == [16]
