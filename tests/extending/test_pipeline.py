"""All stages of docs/extending as the suite of a user, from its settings to table, pages, commands and flows."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from flows.graph import read_graph
from ladd.cli import main
from ladd.config import load_suite
from ladd.dry_run import rehearse
from ladd.report.against import figures
from ladd.report.figures import metric_lines
from ladd.report.select import summarise
from ladd.stages.declaration import read_declaration
from ladd.stages.planned import stages_in_order
from ladd.systems.base import backbone_macs
from tests.stages.tiny import REPOSITORY, link_suite, run_all

EXAMPLES = REPOSITORY / "docs/extending"
TOKENS, VOCABULARY = 8, 2

# What the examples do not have: a system without a bound.
SILENT = """
from typing import Literal

from .span_mdlm import SpanMdlm, SpanMdlmSettings


class SilentSettings(SpanMdlmSettings):
    family: Literal["silent"]


class Silent(SpanMdlm):
    name = "silent"
    Settings = SilentSettings
    label, colour, place = "Silent", "#000000", 21

    def bounds(self, model, x, settings, sweep, *, token_only=False):
        return {}
"""
PARAMS = """
extends: examples.yaml
baselines:
  silent: {extends: spans, family: silent, training: {steps: 20}}
sweeps:
  silent: {model: silent, token_steps: [2]}
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A copy of the examples with the system without a bound, where every stage has run; also the working directory."""
    repository = tmp_path_factory.mktemp("repository")
    folder = shutil.copytree(
        EXAMPLES, repository / "suites/own", ignore=shutil.ignore_patterns("__pycache__", "params.yaml")
    )
    shutil.copy(EXAMPLES / "params.yaml", folder / "examples.yaml")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "silent.py").write_text(SILENT)
    link_suite(repository, folder)
    with contextlib.chdir(folder):
        run_all()
        yield folder


def stages() -> list[tuple[str, str | None]]:
    """Of the suite in the working directory."""
    return list(stages_in_order(vars(load_suite())))


@pytest.fixture
def compared(suite) -> pl.DataFrame:
    return pl.read_csv("results/compare.csv", infer_schema_length=None)


def test_bounds_of_trained_models_are_in_the_table_and_absent_where_there_are_none(compared):
    bounds = {row["model"]: row for row in compared.filter(metric="token_elbo").iter_rows(named=True)}
    assert bounds.keys() == {"mdlm", "remasked", "spans", "spans-remasked"}
    assert bounds["spans"]["value"] == bounds["spans-remasked"]["value"]
    (entropy,) = compared.filter(metric="entropy_rate")["value"]
    assert entropy == pytest.approx(7 / 8 * math.log(2))
    # Tokens of a pair are independent given the others: a pair at a time, no network sees that the sum is even.
    best = {"mdlm": entropy, "remasked": entropy, "spans": math.log(2), "spans-remasked": math.log(2)}
    for key, row in bounds.items():
        assert best[key] - 4 * row["stderr"] < row["value"] < math.log(2) + 0.1, key
    assert pl.read_csv("results/loss_by_time/spans.csv").height == 0
    assert set(compared.filter(model="silent")["metric"]) == {"even", "entropy_positional"}


def test_metric_is_measured_of_all_samples_and_of_real_data(compared):
    even = compared.filter(metric="even")
    assert set(even["model"]) == {"mdlm", "spans", "remasked", "spans-remasked", "silent", "real-bits"}
    assert even.filter(model="real-bits")["value"].to_list() == [1.0, 1.0]
    assert even["value"].is_between(0, 1).all()
    assert even["n"].unique().to_list() == [64]


def test_cost_is_charged_by_passes(compared):
    macs = backbone_macs(TOKENS, width=16, layers=2) / 1e9
    head = TOKENS * 16 * VOCABULARY / 1e9
    rows = compared.filter(metric="even", family="span-mdlm")
    for row in rows.iter_rows(named=True):
        assert 1 <= row["nfe"] <= row["token_steps"]
        assert row["gmacs_per_sample"] == pytest.approx(row["nfe"] * macs, rel=1e-3)
        assert row["gflops_per_sample"] == pytest.approx(2 * (row["nfe"] * macs + head), rel=1e-3)
        assert row["nominal_gmacs_per_sample"] == pytest.approx(row["token_steps"] * macs)
    cost = {(row["model"], row["token_steps"]): row["nfe"] for row in rows.iter_rows(named=True)}
    assert cost["spans", 8] <= 4  # a pass for each of four spans at most
    assert cost["spans-remasked", 8] > cost["spans", 8]  # what is masked again costs once more


def test_table_figures_and_pages_name_them(compared):
    table, page = Path("results/compare.txt").read_text(), Path("results/report.html").read_text()
    for words in ("spans-remasked", "remasking", "Sequences with an even sum, percent"):
        assert words in table
        assert words in page
    even = table.split("Sequences with an even sum, percent")[1]
    assert re.search(r"real-bits .* 100\.0±0\.0", even)
    [figure] = [figure for figure in figures() if figure.metric.name == "even"]
    lines = metric_lines(summarise(compared), figure)
    assert [line.label for line in lines] == ["MDLM", "MDLM remasking", "Span-MDLM", "Span-MDLM remasking", "Silent"]
    samples = Path("results/samples.html").read_text()
    assert "Span-MDLM, remasking (spans-remasked)" in samples
    shown = json.loads(Path("results/samples/spans.json").read_text())
    assert all(set(text) <= set("01") for text, _ in shown[0]["items"][0])
    assert {path.name for path in Path("results/plots").iterdir()} >= {"curves.png", "even.png"}
    assert "Even sums against token steps; higher is better" in page
    assert "even sums" in samples


def test_command_compares_from_anywhere(suite, capsys, monkeypatch):
    monkeypatch.chdir(suite.parents[1])
    assert (
        main(["compare", "--suite", "suites/own", "--by", "family,schedule", "--metric", "even", "--steps", "8"]) == 0
    )
    out = capsys.readouterr().out
    assert "Sequences with an even sum, percent" in out
    assert re.findall(r"^(\S+) +(\S+) +\d.*±", out, re.MULTILINE) == [
        ("mdlm", "-"),
        ("mdlm", "remasking"),
        ("span-mdlm", "-"),
        ("span-mdlm", "remasking"),
    ]


@pytest.mark.parametrize("name", ["spans", "remasked", "spans-remasked"])
def test_command_generates_the_same_samples_each_time(suite, name, capsys, monkeypatch):
    monkeypatch.chdir(suite.parents[1])
    printed = []
    for batch in ("1", "8"):
        assert main(["generate", name, "--suite", "suites/own", "-n", "8", "--json", "--batch", batch]) == 0
        printed.append([json.loads(line)["tokens"] for line in capsys.readouterr().out.splitlines()])
    assert printed[0] == printed[1]
    assert len(printed[0]) == 8
    assert {len(tokens) for tokens in printed[0]} == {TOKENS}
    assert {token for tokens in printed[0] for token in tokens} <= {0, 1}


def test_command_takes_the_new_sampler_and_a_prompt(suite, capsys):
    assert main(["generate", "baselines.spans", "--schedule", "remasking", "--prompt", "0101", "-n", "20"]) == 0
    assert {text[:4] for text in capsys.readouterr().out.split("\n---\n")} == {"0101"}
    assert main(["generate", "spans", "--schedule", "remarking"]) == 1
    assert re.search("span-mdlm; allowed is 'none' or .*'remasking'", capsys.readouterr().err)


def test_flows_know_the_stages(suite):
    upstream = read_graph(suite).upstream
    assert upstream.keys() == {name if key is None else f"{name}@{key}" for name, key in stages()} | {"plan"}
    assert upstream["data@bits"] == ("plan",)
    assert upstream["baseline@spans"] == ("data@bits",)
    assert set(upstream["measure@spans-remasked"]) == {"bound@spans", "data@bits", "sample@spans-remasked"}


def test_dry_run_takes_the_modules_along(suite, capsys, monkeypatch):
    monkeypatch.chdir(suite.parents[1])
    for name in ("suites/text-demo", "dvc.yaml"):
        Path(name).symlink_to(REPOSITORY / name)
    rehearse(Path("suites/own"), keep=False)
    assert "Sequences with an even sum, percent" in capsys.readouterr().out


def test_code_of_a_stage_is_that_of_its_own_additions(suite):
    """Paths are from the folder of the suite, as a stage that DVC starts looks at the times of these files."""
    code = {stage: set(read_declaration(*stage).code) for stage in stages()}
    assert all(Path(path).is_file() for paths in code.values() for path in paths)
    own = {stage: {path for path in paths if "/" not in path} for stage, paths in code.items()}
    assert own["data", "bits"] == {"parity.py"}
    assert own["baseline", "mdlm"] == set()
    assert own["baseline", "spans"] == {"span_mdlm.py", "spans.py"}
    assert own["sample", "spans-remasked"] == {"span_mdlm.py", "spans.py", "remasking.py", "parity.py"}
    assert own["measure", "mdlm"] == {"parity.py", "even.py"}
