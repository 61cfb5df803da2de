"""The demonstration of `make ui`, in a real browser: from the forms to a comparison, without a file touched by hand."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Page

from tests.flows.browser import FlowRun, Form, browser_page, log_in
from tests.flows.mlflow_pages import RunsTable
from tests.flows.site import Site, processes_of
from tests.stages.test_reproducibility import make_repository, small_values
from tests.stages.tiny import REPOSITORY, commit, git
from tests.tracking.test_filters import FILTERS

pytestmark = pytest.mark.slow

NAME = "study"
CELLS = [f"di-ladd-L{n}-K{k}-{how}" for n in (1, 2) for k in (16, 64) for how in ("joint", "sequential")]
TRACKED = 1 + 4 + 4 + 8  # the suite; latents, models and evaluations


def tiny_suite() -> dict[str, Any]:
    """One model with latents and one without, a sweep each."""
    values = small_values()
    for block, key in (("latents", "di"), ("models", "di-ladd"), ("baselines", "mdlm")):
        values[block] = {key: values[block][key]}
    values["priors"] = {}
    values["sweeps"] = {key: values["sweeps"][key] for key in ("mdlm", "di-seq")}
    return values


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Iterator[Path]:
    folder = make_repository(tmp_path_factory.mktemp("browser") / "r", tiny_suite())
    shutil.copytree(REPOSITORY / "flows", folder / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / ".gitignore").open("a") as ignored:
        ignored.write(".prefect/\n")
    commit(folder)
    yield folder
    for process in processes_of(folder):  # of a test that failed
        process.kill()


@pytest.fixture(scope="module")
def site(checkout) -> Iterator[Site]:
    site = Site(checkout)
    yield site
    site.stop()


@pytest.fixture
def page(site) -> Iterator[Page]:
    with browser_page(site.auth) as page:
        log_in(page, form_address(site, "pipeline"), site.auth)
        yield page


def form_address(site: Site, flow: str) -> str:
    """As `make ui` prints it."""
    return re.search(rf"^ *{flow} +(\S+)$", site.printed, re.MULTILINE)[1]


def form(page: Page, site: Site, flow: str) -> Form:
    return Form(page, form_address(site, flow))


def launch_ablation(page: Page, site: Site) -> FlowRun:
    filled = form(page, site, "ablation")
    filled.fill("Name", NAME)
    filled.fill_list("L", [1, 2])
    filled.fill_list("K", [16, 64])
    assert filled.chosen("Inference schedules") == ["joint", "sequential"]
    filled.fill_list("Step budgets", [1, 2])
    filled.fill_list("Seeds", [0])
    filled.fill("Samples per seed", 16)
    filled.fill("Stage 1 steps", 6)
    filled.switch_off("Baselines")
    return FlowRun(page, site.addresses["prefect"], filled.submit())


def experiment_of(address: str) -> str:
    return re.search("/experiments/([0-9]+)/runs", address)[1]


def tracked_runs(site: Site, address: str) -> set[str]:
    found = site.call("/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment_of(address)]}, "mlflow")["runs"]
    return {run["info"]["run_id"] for run in found}


def words(text: str) -> list[str]:
    return text.split()


def test_suite_from_its_form_to_its_tables_and_figures(page, site, checkout):
    filled = form(page, site, "pipeline")
    filled.fill("suite", ".")
    run = FlowRun(page, site.addresses["prefect"], filled.submit())
    assert run.end() == "Completed"
    stages = run.stages()
    assert set(stages.values()) == {"Completed"}
    assert {"stage1@di", "stage2@di-ladd", "measure@di-seq", "compare"} < stages.keys()
    assert words((checkout / "results/compare.txt").read_text())[:50] == words(run.artifact("tiny-comparison"))[2:52]
    run.artifact("tiny-figures")
    figures = page.locator("img[src^='data:image/png']")
    figures.first.wait_for()
    assert figures.count() == len(list((checkout / "results/plots").glob("*.png")))


def test_ablation_from_its_form_to_compared_runs_and_again_without_training(page, site, checkout):
    run = launch_ablation(page, site)
    assert run.end() == "Completed"
    assert set(run.stages().values()) <= {"Completed", "RunCache"}
    assert words(run.artifact(f"{NAME}-cells")).count("runs") == len(CELLS)
    comparison = run.artifact(f"{NAME}-comparison")
    assert [cell for cell in CELLS if cell not in comparison] == []

    run.artifact(f"{NAME}-runs")
    address = page.locator("a[href*='workflowType=machine_learning']").first.get_attribute("href")
    compare_codebooks(page, address)
    before = tracked_runs(site, address)
    assert len(before) == TRACKED
    files = git(checkout, "status", "--porcelain")
    assert "?? suites/" in files.splitlines()

    again = launch_ablation(page, site)
    assert again.end() == "Completed"
    assert set(again.stages().values()) <= {"Unchanged", "RunCache"}
    assert tracked_runs(site, address) == before
    assert git(checkout, "status", "--porcelain") == files


def compare_codebooks(page: Page, address: str) -> None:
    """What does K do? As docs/TRACKING.md says, up to the chart."""
    table = RunsTable(page, address)
    table.filter(FILTERS["K"])
    table.columns("Tags", ["family", "L", "K", "schedule"])
    table.columns("Metrics", ["swd"])
    table.sort("swd")
    expected = [f"di-ladd-L1-K{k}-sequential · evaluation di-ladd L1 K{k} w8 sequential" for k in (64, 16)]
    assert sorted(table.names(2)) == sorted(expected)
    table.compare()
    assert sorted(table.chart("swd")) == sorted(f"{name} (swd)" for name in expected)
