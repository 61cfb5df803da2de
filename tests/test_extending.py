"""docs/extending: a sampler, a system, a process, a task and a metric, a file each in the folder of a suite, and all
that a user does with them."""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml

from flows.graph import read_graph
from ladd.cli import main
from ladd.config import Suite, load_suite
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.uniform import UniformProcess
from ladd.dry_run import rehearse
from ladd.errors import ConfigError, SamplingError
from ladd.evaluation.bounds import BoundSettings
from ladd.evaluation.estimate import estimate
from ladd.registry import discover, suite_folder
from ladd.report.series import quality_series
from ladd.report.table import summarise
from ladd.samplers.base import Sampler, sample
from ladd.samplers.sources import Stream, TokenSource
from ladd.stages.declaration import read_declaration
from ladd.stages.plan import renew_plan
from ladd.stages.planned import stages_in_order
from ladd.systems.base import System, backbone_macs
from tests.builders import TableDenoiser
from tests.stages.tiny import REPOSITORY, commit, git, run_here

EXAMPLES = REPOSITORY / "docs/extending"
LINES = {"remasking.py": 60, "span_mdlm.py": 150, "spans.py": 80, "parity.py": 80, "even.py": 40}
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
    shutil.copy(REPOSITORY / "dvc.yaml", folder)
    shutil.copytree(REPOSITORY / ".dvc", repository / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    (repository / "ladd").symlink_to(REPOSITORY / "ladd")
    (repository / ".gitignore").write_text("__pycache__/\n.work/\n.mlflow/\nartifacts/\nresults/\n")
    git(repository, "init", "--quiet")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        renew_plan()
        commit(repository)
        for name, key in stages():
            run_here(name, key)
        yield folder


def stages() -> list[tuple[str, str | None]]:
    """Of the suite in the working directory."""
    return list(stages_in_order(vars(load_suite())))


@pytest.fixture
def compared(suite) -> pl.DataFrame:
    return pl.read_csv("results/compare.csv", infer_schema_length=None)


def test_each_is_one_file_as_short_as_an_addition_may_be():
    files = {path.name: path for path in EXAMPLES.glob("*.py")}
    assert files.keys() == LINES.keys()
    assert [name for name, path in files.items() if len(path.read_text().splitlines()) > LINES[name]] == []
    known = {path.stem for path in files.values()}
    for path in files.values():
        relative = [node for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "level", 0)]
        assert {node.module for node in relative} <= known, path  # nothing else of the suite is needed


def test_one_block_each_is_all_that_names_them():
    values = yaml.safe_load((EXAMPLES / "params.yaml").read_text())
    assert {data["kind"] for data in values["data"].values()} == {"parity"}
    assert "span-mdlm" in {model["family"] for model in values["baselines"].values()}
    assert "remasking" in {sweep.get("schedule") for sweep in values["sweeps"].values()}
    assert "even" in values["evaluation"]["metrics"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train: 2048", "train: 0", r"data\.bits\.train: 0: Input should be greater than or equal to 1"),
        ("span: 2", "span: 0", r"baselines\.spans\.span: 0: Input should be greater than or equal to 1"),
        ("remask: 0.3", "remask: 1.5", r"sweeps\.remasked\.remask: 1\.5: Input should be less than 1"),
        ("remask: 0.3", "remark: 0.3", r"sweeps\.remasked\.remark"),
        ("first: 8", "first: 0", r"first: 0: Input should be greater than or equal to 1"),
        ("even:", "odd:", r"evaluation\.metrics: 'odd' is not registered; known are .*'even'"),
        ("family: span-mdlm", "family: spam", r"baselines\.spans\.family: 'spam': .*'mdlm-uniform', 'span-mdlm'"),
        ("schedule: remasking", "schedule: remarking", r"sweeps\.remasked\.schedule: 'remarking': .*'remasking'"),
        ("kind: parity, tokens", "kind: purity, tokens", r"data\.bits\.kind: 'purity': .*'parity'"),
    ],
)
def test_wrong_settings_of_each_are_errors_that_name_the_key(tmp_path, old, new, message):
    folder = shutil.copytree(EXAMPLES, tmp_path / "suite", ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_suite(folder / "params.yaml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("broken.py", "import nothing_of_that_name", ["broken.py cannot be imported", "nothing_of_that_name"]),
        (
            "twin.py",
            (EXAMPLES / "span_mdlm.py").read_text(),
            ["'span-mdlm' is the name of another System", "span_mdlm.py", "rename one"],
        ),
    ],
)
def test_modules_that_cannot_register_are_named(tmp_path, name, text, words):
    folder = shutil.copytree(EXAMPLES, tmp_path / "suite", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / name).write_text(text)
    with pytest.raises(ConfigError) as error:
        load_suite(folder / "params.yaml")
    assert [word for word in words if word not in str(error.value)] == []


def example() -> Suite:
    return load_suite(EXAMPLES / "params.yaml")


def spans_process() -> MaskedProcess:
    return System.of(example(), "spans").process


def exact_bound(denoiser: torch.nn.Module, x: torch.Tensor, span: int) -> torch.Tensor:
    """Mean of -log p(x) over all orders in which spans can be revealed, (n,), nats per token."""
    spans, losses = TOKENS // span, torch.zeros(len(x), dtype=torch.float64)
    for revealed in itertools.chain.from_iterable(itertools.combinations(range(spans), k) for k in range(spans)):
        hidden = ~torch.isin(torch.arange(TOKENS) // span, torch.tensor(revealed))
        logits = denoiser(torch.where(hidden, VOCABULARY, x), torch.zeros(len(x)))
        nll = -torch.log_softmax(logits, dim=-1).gather(2, x[..., None])[..., 0]
        orders = math.factorial(len(revealed)) * math.factorial(spans - len(revealed) - 1)
        losses += nll[:, hidden].sum(dim=1) * orders / math.factorial(spans)
    return losses / TOKENS


def test_bound_of_the_system_is_the_sum_over_all_orders():
    suite, denoiser = example(), TableDenoiser(TOKENS, VOCABULARY)
    x = torch.randint(VOCABULARY, (200, TOKENS), generator=torch.Generator().manual_seed(1))
    settings = BoundSettings(time_draws=200, batch=200, seed=3)
    bound = System.of(suite, "spans").bounds(denoiser, x, settings, suite.sweeps["spans"])["token_elbo"]
    difference = estimate(bound - exact_bound(denoiser, x, 2))
    assert difference.stderr < 0.02
    assert abs(difference.value) < 4 * difference.stderr
    assert (exact_bound(denoiser, x, 2) - exact_bound(denoiser, x, 1)).abs().mean() > 0.1  # what it could be taken for


@pytest.mark.parametrize("name", DISCRETE_SCHEDULES)
@pytest.mark.parametrize("span", [1, 2, 3])
def test_sampler_keeps_the_marginals_of_every_masked_process(name, span):
    schedule = DISCRETE_SCHEDULES[name]
    process = type(spans_process())(schedule, VOCABULARY, span)
    source = TokenSource(
        Stream(process, "token", (TOKENS,)), lambda x, t: Prediction(torch.zeros(*x.shape, 2), torch.nn.Identity())
    )
    with suite_folder(EXAMPLES):
        sampler = discover("ladd.samplers", Sampler)["remasking"](source=source, token_steps=5, remask=0.4)
    start = torch.full((4000, TOKENS), VOCABULARY)
    start[:, 0] = 1  # given
    again, before = 0, start == VOCABULARY

    def check(step, state):
        nonlocal again, before
        masked = state.tokens == VOCABULARY
        share = estimate(masked[:, 1:].double().mean(dim=1))
        expected = 1 - float(schedule.alpha(step.s)) if step.s > 0 else 0.0
        assert abs(share.value - expected) <= 5 * share.stderr + 1e-9
        again, before = again + int((masked & ~before).sum()), masked

    drawn = sample(sampler, start, SampleNoise(0, torch.arange(4000)), check)
    assert again > 0
    assert (drawn.tokens[:, 0] == 1).all()
    assert (drawn.token_passes <= 5).all()


def test_sampler_refuses_a_process_without_masks():
    source = TokenSource(Stream(UniformProcess(DISCRETE_SCHEDULES["linear"], 2), "token", (8,)), None)
    with suite_folder(EXAMPLES), pytest.raises(SamplingError, match="'remasking' is for masked processes"):
        discover("ladd.samplers", Sampler)["remasking"](source=source, token_steps=2, remask=0.4)


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
    lines = quality_series(summarise(compared), "token_steps", "even")
    assert [line.label for line in lines] == [
        "MDLM mdlm",
        "MDLM remasking remasked",
        "Span-MDLM spans",
        "Span-MDLM remasking spans-remasked",
        "Silent",
    ]
    samples = Path("results/samples.html").read_text()
    assert "Span-MDLM remasking (spans-remasked)" in samples
    shown = json.loads(Path("results/samples/spans.json").read_text())
    assert all(set(text) <= set("01") for text, _ in shown[0]["items"][0])
    assert Path("results/plots/curves.png").stat().st_size > 0


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
    assert "span-mdlm; allowed is 'none' or 'remasking'" in capsys.readouterr().err


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
