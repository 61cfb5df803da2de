"""What the flow of an ablation shows before anything runs."""

import logging

import flows.ablation
from tests.launch.test_expand import of_sawtooth


def test_every_cell_is_shown_with_what_becomes_of_it(monkeypatch):
    shown = {}
    monkeypatch.setattr(flows.ablation, "show_table", lambda name, title, rows: shown.update({name: rows}))
    monkeypatch.setattr(flows.ablation, "get_run_logger", lambda: logging.getLogger("flow"))
    expansion = of_sawtooth(lengths=[1, 99], codebooks=[4])
    flows.ablation._show_cells("study", expansion)
    plans = {row["cell"]: row["plan"] for row in shown["study-cells"]}
    assert [name for name, plan in plans.items() if plan == "runs"] == [cell.name for cell in expansion.cells]
    assert {name: plan for name, plan in plans.items() if plan != "runs"} == {
        each.cell.name: f"rejected: {each.reason}" for each in expansion.rejected
    }
    assert len(plans) == 4
