"""Flow: an ablation, from its form to a suite ready to commit."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.artifacts import show_results, show_table
from flows.environment import ROOT
from flows.suite import TASK_RUNNER, Jobs, Launch, outcome_of
from ladd.launch.ablation import preview, run_ablation
from ladd.launch.confine import check_assets, suite_folder
from ladd.launch.expand import Expansion
from ladd.launch.grid import Grid
from ladd.launch.overrides import read_values


def run_name() -> str:
    grid: Any = flow_run.parameters["grid"]
    return grid["name"] if isinstance(grid, dict) else grid.name


@flow(name="ablation", flow_run_name=run_name, task_runner=TASK_RUNNER, persist_result=False)
def ablation(grid: Grid, jobs: Jobs = 2) -> State:
    """Train and measure every combination, and leave suites/NAME ready to commit.

    Args:
        grid: Lists of values; every combination of them that makes sense becomes a model and a sweep.
        jobs: Stages that run at the same time.
    """
    return outcome_of(lambda: _run(grid, Launch(jobs=jobs)))


def _run(grid: Grid, launch: Launch) -> str:
    expansion = preview(ROOT, grid)
    base = read_values(suite_folder(ROOT, grid.suite) / "params.yaml")
    check_assets(ROOT, base, expansion.values)
    _show_cells(grid.name, expansion)
    show_results(grid.name, run_ablation(ROOT, grid, launch) / "results")
    return f"{len(expansion.cells)} cells; suites/{grid.name} is ready to commit"


def _show_cells(name: str, expansion: Expansion) -> None:
    """Log and show what is going to run, and what is not and why."""
    kept = [{"cell": cell.name, "plan": "runs"} for cell in expansion.cells]
    rejected = [{"cell": each.cell.name, "plan": f"rejected: {each.reason}"} for each in expansion.rejected]
    show_table(f"{name}-cells", f"{name}: cells", [*kept, *rejected])
    log = get_run_logger()
    log.info(f"{name}: {len(kept)} cells, {expansion.trainings} trainings, {len(rejected)} rejected")
    for note in (*(f"{row['cell']} {row['plan']}" for row in rejected), *expansion.notes):
        log.info(note)
