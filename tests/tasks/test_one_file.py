"""A task and a metric, a file each in the folder of a suite, from params.yaml to the table."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from ladd.config import load_suite
from ladd.errors import ConfigError
from ladd.stages.plan import stages_in_order
from tests.builders import suite_values
from tests.stages.tiny import make_suite, run_here, write_params

EXAMPLES = Path(__file__).parent / "examples"
LINES = {"parity.py": 80, "even.py": 40}


def values() -> dict:
    """One baseline on the new data, with the new metric besides that of the task."""
    base = suite_values()
    mdlm = base["baselines"]["mdlm"] | {"data": "bits"}
    sweep = base["sweeps"]["mdlm"] | {"data": "bits"}
    data = {"kind": "parity", "tokens": 8, "train": 64, "validation": 40}
    evaluation = {"kind": "parity", "time_draws": 2, "sequences": 12, "batch": 6, "metrics": {"even": {"first": 8}}}
    evaluation["reference"] = {"samples": 10, "seeds": [0, 1]}
    empty = {block: {} for block in ("encoders", "latents", "codebooks", "priors", "models")}
    return (
        base
        | empty
        | {
            "data": {"bits": data},
            "baselines": {"mdlm": mdlm},
            "sweeps": {"mdlm": sweep},
            "evaluation": evaluation,
        }
    )


@pytest.fixture
def suite(tmp_path, monkeypatch) -> Path:
    """The folder of a suite with both modules; nothing has run."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    modules = {name: (EXAMPLES / name).read_text() for name in LINES}
    assert all(len(text.splitlines()) <= LINES[name] for name, text in modules.items())
    folder = make_suite(tmp_path / "repository", tmp_path / "repository/suites/bits", values(), modules)
    monkeypatch.chdir(folder)
    return folder


def test_new_task_and_metric_run_from_settings_to_table(suite):
    Path("results/stage1").mkdir(parents=True)  # `compare` reads it, and no stage of this suite writes there
    for name, key in stages_in_order(values()):
        run_here(name, key)
    compare = pl.read_csv("results/compare.csv")
    found = {model: set(group["metric"]) for (model,), group in compare.group_by("model")}
    sampled = {"entropy_positional", "even"}
    assert found == {"mdlm": sampled | {"token_elbo"}, "real-bits": sampled}
    real = compare.filter(pl.col("model") == "real-bits", pl.col("metric") == "even")
    assert real["value"].to_list() == [1.0, 1.0]
    assert "Share of sequences with an even sum, by token steps" in Path("results/compare.txt").read_text()
    shown = json.loads(Path("results/samples/mdlm.json").read_text())
    assert all(set(text) <= set("01") for text, _ in shown[0]["items"][0])


def test_wrong_settings_of_them_are_named(suite):
    changed = values()
    changed["data"]["bits"]["train"] = 0
    write_params(suite, changed)
    with pytest.raises(ConfigError, match=r"data\.bits\.train: 0: Input should be greater than or equal to 1"):
        load_suite()
    changed = values()
    changed["evaluation"]["metrics"] = {"odd": {}}
    write_params(suite, changed)
    with pytest.raises(ConfigError, match=r"evaluation\.metrics: 'odd' is not registered; known are .*'even'"):
        load_suite()
