"""Flow: one suite, one task per stage of DVC's graph. `python -m flows.pipeline --help` says how to run it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.artifacts import show_results, show_text
from flows.environment import ROOT
from flows.suite import TASK_RUNNER, Jobs, Launch, outcome_of
from ladd.cli.arguments import whole
from ladd.cli.launch import assignment
from ladd.config import load_suite
from ladd.launch.confine import suite_folder
from ladd.launch.overrides import launch_overrides, plan_overrides


def run_name() -> str:
    """Name of a flow run: its suite."""
    suite = str(flow_run.parameters["suite"])
    return "default suite" if suite == "." else suite.removeprefix("suites/")


@flow(name="pipeline", flow_run_name=run_name, task_runner=TASK_RUNNER, persist_result=False)
def pipeline(
    suite: str = ".",
    only: list[str] = [],  # noqa: B006 (Prefect copies defaults, and the form shows them)
    downstream: bool = True,
    force: bool = False,
    overrides: dict[str, Any] = {},  # noqa: B006
    jobs: Jobs = 2,
) -> State:
    """Bring a suite up to date: every stage that is not, and nothing else.

    Args:
        suite: "." is the default suite, others are suites/NAME.
        only: Run these alone: stages ("stage2"), keys of params.yaml ("di-ladd"), or both ("stage2@di-ladd"). Empty
            for the whole suite.
        downstream: With "only": also run what depends on them.
        force: Run them although they are up to date. With "only", what depends on them still runs only if their
            outputs come out different.
        overrides: Other values for parameters, by dotted name, such as {"models.di-ladd.latent_weight": 2.0}. The
            launch then runs in a work tree of its own and leaves params.yaml and results as they are.
        jobs: Stages that run at the same time.
    """
    launch = Launch(tuple(only), downstream, force, jobs)
    return outcome_of(lambda: _run(suite, overrides, launch))


def _run(suite: str, overrides: dict[str, Any], launch: Launch) -> str:
    folder = suite_folder(ROOT, suite)
    experiment, results = load_suite(folder / "params.yaml").suite, folder / "results"
    if overrides:
        plan = plan_overrides(ROOT, Path(suite), overrides, confined=True)
        get_run_logger().info("\n".join([f"{plan.name}: {suite} with", *plan.difference]))
        show_text(f"{plan.name}-difference", f"{plan.name}: difference from {suite}", "\n".join(plan.difference))
        experiment, results = f"{experiment}@{plan.name}", launch_overrides(ROOT, Path(suite), plan, launch) / "results"
    else:
        launch(folder, {})
    if launch.downstream or not launch.only:  # `compare` was among the stages: results are of the suite as it is
        show_results(experiment, results)
    return f"{experiment} is up to date"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow from the command line; the exit code is 1 when a stage failed."""
    parsed = make_parser().parse_args(arguments)
    state = pipeline(
        suite=parsed.suite.removesuffix("/"),  # shells complete the names of folders with it
        only=parsed.only,
        downstream=not parsed.no_downstream,
        force=parsed.force,
        overrides=dict(parsed.set),
        jobs=parsed.jobs,
        return_state=True,
    )
    print(state.message)
    return 0 if state.is_completed() else 1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description="Bring a suite up to date.")
    parser.add_argument("--suite", default=".", help="the default suite, ., or suites/NAME (default: .)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="stages, keys, or both as NAME@KEY")
    parser.add_argument("--no-downstream", action="store_true", help="not what depends on them")
    parser.add_argument("--force", action="store_true", help="run them although they are up to date")
    parser.add_argument("--set", nargs="+", default=[], type=assignment, metavar="KEY=VALUE", help="other values")
    parser.add_argument("--jobs", type=whole(1), default=2, help="stages at the same time (default: 2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
