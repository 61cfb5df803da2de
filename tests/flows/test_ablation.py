"""What the flow of an ablation shows before anything runs."""

import copy
import logging

import pytest

import flows.ablation
from flows.suite import Launch
from ladd.errors import ConfigError
from ladd.launch.expand import Expansion
from ladd.launch.grid import Grid
from tests.builders import text_suite_values
from tests.launch.test_expand import of_sawtooth
from tests.stages.tiny import write_params


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


def test_overrides_of_an_ablation_name_no_file_outside_of_the_repository(tmp_path, monkeypatch):
    values = text_suite_values() | {"root": "."}
    write_params(tmp_path, values)
    changed = copy.deepcopy(values)
    data = next(data for data in changed["data"].values() if data["kind"] == "text")
    data["train"]["asset"] |= {"source": "path", "name": "/etc/passwd"}
    monkeypatch.setattr(flows.ablation, "ROOT", tmp_path)
    monkeypatch.setattr(flows.ablation, "preview", lambda *_: Expansion(changed, [], [], []))
    monkeypatch.setattr(flows.ablation, "_show_cells", lambda *_: None)
    monkeypatch.setattr(flows.ablation, "run_ablation", lambda *_: pytest.fail("it ran"))
    with pytest.raises(ConfigError, match="asset '/etc/passwd': an override of a flow names no file outside"):
        flows.ablation._run(Grid(name="study"), Launch())
