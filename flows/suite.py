"""A suite as Prefect tasks: one per stage, in the order of DVC's graph."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from flows.environment import HOME, stage_environment
from flows.graph import read_graph, select
from flows.stage import MEANING, EndedError, Log, Outcome, Processes, StageRunner, heed_interrupts
from ladd.errors import BusyError, LaddError, StageError
from ladd.launch.ready import make_ready
from ladd.lock import exclusive, is_held

Jobs = Annotated[int, Field(ge=1, le=64)]
# A task holds a thread while it waits for its upstreams; `jobs` limits the work.
TASK_RUNNER: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=256)
LOCKS = HOME / "flow-runs"
FLOWS = ["pipeline", "ablation"]


@dataclass(frozen=True)
class Launch:
    """What of a suite to run, and how."""

    only: tuple[str, ...] = ()  # stages, keys, or both as NAME@KEY; empty for all
    downstream: bool = True  # run what is behind them too
    force: bool = False  # run them although they are up to date
    jobs: int = 2  # stages at once

    def __call__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Run the suite in ``folder``, in the running flow. Raises ConfigError: a name in ``only`` fits no stage.
        StageError: stages failed; the message names them."""
        log = get_run_logger().info
        environment = {**stage_environment(str(flow_run.id)), **environment}
        make_ready(folder, environment)  # the plan is renewed, and says what stages there are
        graph = read_graph(folder)
        part, named = select(graph, self.only, downstream=self.downstream)
        forced = named if self.force else set()
        log(describe(part, graph.unchanged - forced, self.jobs))
        heed_interrupts()
        runner = StageRunner(folder, environment, Processes(), threading.BoundedSemaphore(self.jobs))
        report(_submit(Pass(part, graph.unchanged, forced, runner)), log)


class Pass:
    """One pass over a part of a graph, stage -> upstreams. No dataclass: Prefect would look into its fields."""

    def __init__(
        self, part: Mapping[str, tuple[str, ...]], unchanged: frozenset[str], forced: set[str], runner: StageRunner
    ):
        self.part, self.unchanged, self.forced, self.runner = part, unchanged, forced, runner
        self.ran: set[str] = set()

    def run(self, stage: str, log: Log) -> Outcome:
        """Run a stage, unless it was up to date and nothing before it ran since."""
        force = stage in self.forced
        if stage in self.unchanged and not force and not self.ran.intersection(self.part[stage]):
            return Outcome.UNCHANGED
        outcome = self.runner.run(stage, force=force, log=log)
        if outcome is not Outcome.UNCHANGED:
            self.ran.add(stage)
        return outcome


# DVC owns caching and the stages own resuming: Prefect does neither.
@task(task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def dvc_stage(stage: str, run: Pass) -> State:
    """A stage of dvc.yaml."""
    try:
        outcome = run.run(stage, get_run_logger().info)
    except (BusyError, StageError) as error:
        return Failed(message=str(error))
    except EndedError as error:
        return Cancelled(message=str(error))
    return Completed(name=outcome.value, message=MEANING[outcome])


def _submit(run: Pass) -> dict[str, State]:
    """Run all tasks; whatever interrupts the wait ends their processes."""
    futures: dict[str, PrefectFuture[State]] = {}
    try:
        for stage, upstream in run.part.items():
            before = [futures[name] for name in upstream]
            futures[stage] = dvc_stage.submit(stage, run, wait_for=before, return_state=False)
        for future in futures.values():
            future.wait()
    except BaseException:
        run.runner.processes.end_all()
        raise
    return {stage: future.state for stage, future in futures.items()}


def describe(part: Mapping[str, tuple[str, ...]], unchanged: frozenset[str], jobs: int) -> str:
    """What is going to run, in a line."""
    changed = [stage for stage in part if stage not in unchanged]
    if not changed:
        return f"{len(part)} stages, all up to date"
    return f"{len(part)} stages, {len(part) - len(changed)} up to date, {jobs} at a time; to run: {', '.join(changed)}"


def report(states: Mapping[str, State], log: Log) -> None:
    """Log what the stages came to. Raises StageError: some did not end well."""
    failed = [stage for stage, state in states.items() if state.is_final() and not state.is_completed()]
    behind = [stage for stage, state in states.items() if not state.is_final()]
    names = [str(state.name) for state in states.values() if state.is_completed()]
    counts = ", ".join(f"{names.count(outcome)} {outcome}" for outcome in Outcome if outcome in names)
    log(f"{len(states)} stages: {counts or 'none ended well'}" + (f", {len(failed)} failed" if failed else ""))
    if failed:
        lines = [line for stage in failed for line in str(states[stage].message).splitlines()]
        raise StageError(
            ", ".join(failed), [*lines, *([f"behind them, not run: {', '.join(behind)}"] if behind else [])]
        )


def outcome_of(flow: Callable[[], str]) -> State:
    """Run the body of a flow, whose answer is the message of its state; that of an error says all that is known."""
    with alive(str(flow_run.id)):
        try:
            return Completed(message=flow())
        except LaddError as error:
            return Failed(message="\n".join([str(error), *getattr(error, "__notes__", [])]))


@contextmanager
def alive(flow_run_id: str) -> Iterator[None]:
    """Hold the lock of a flow run: the system frees it however the process ends."""
    path = LOCKS / flow_run_id
    with exclusive(path, f"flow run {flow_run_id}"):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def bury_the_dead() -> list[str]:
    """Mark running flow runs without a process as crashed; their names."""
    ours = FlowFilter.model_validate({"name": {"any_": FLOWS}})
    running = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "CANCELLING"]}}})
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_filter=ours, flow_run_filter=running)
        dead = [each for each in found if not is_held(LOCKS / str(each.id))]
        for each in dead:
            (LOCKS / str(each.id)).unlink(missing_ok=True)
            message = "its process is gone; launch it again: it goes on from what is done"
            client.set_flow_run_state(each.id, Crashed(message=message), force=True)
    return [each.name for each in dead]
