"""What no other table shows stands in a table for each kind of it, in words."""

from __future__ import annotations

from ladd.report.blocks import blocks
from ladd.report.select import summarise


def made(rows, table, *others: dict) -> dict:
    like = next(row for row in rows if row["metric"] == "token_elbo" and row["model"] == "mdlm")
    summary = summarise(table([*rows, *(like | other for other in others)]))
    return {block.title: block for block in blocks(summary) if block.topic == "Everything else"}


def test_parts_are_columns_in_words(rows, table):
    parts = [{"metric": f"latent_reliance/{name}", "value": value} for name, value in (("none", 3.0), ("own", 1.0))]
    (block,) = made(rows, table, *parts).values()
    assert block.columns == ("model", "schedule", "latents", "its own latents", "none")
    assert [cell[:6] for cell in block.rows[0][3:]] == ["1.0000", "3.0000"]
    assert block.meaning


def test_budgets_are_columns_in_their_order_and_kinds_are_apart(rows, table):
    laws = [{"metric": "law_divergence", "token_steps": steps, "value": 1.0 / steps} for steps in (16, 2, 1)]
    found = made(rows, table, *laws, {"metric": "of_my_own", "value": 7.0})
    assert [title.split(" ")[0] for title in found] == ["Kullback-Leibler", "of_my_own,"]
    assert [block.columns for block in found.values()] == [
        ("model", "schedule", "1", "2", "16"),
        ("model", "schedule", "latents", "value"),
    ]
