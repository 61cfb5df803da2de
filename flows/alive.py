"""Flow runs whose process is gone: a killed server or flow leaves them "Running" in Prefect for ever."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

from flows.environment import HOME

LOCKS = HOME / "flow-runs"
FLOWS = ["pipeline", "ablation"]


@contextmanager
def alive(flow_run_id: str) -> Iterator[None]:
    """Hold the lock of a flow run: the system frees it however the process ends."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    path = LOCKS / flow_run_id
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_alive(flow_run_id: str) -> bool:
    """Whether a process of this checkout holds the lock of a flow run."""
    try:
        with (LOCKS / flow_run_id).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def bury_the_dead() -> list[str]:
    """Mark running flow runs without a process as crashed; their names."""
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=FLOWS)), flow_run_filter=FlowRunFilter(state=running)
        )
        dead = [each for each in found if not is_alive(str(each.id))]
        for each in dead:
            (LOCKS / str(each.id)).unlink(missing_ok=True)
            message = "its process is gone; launch it again: it goes on from what is done"
            client.set_flow_run_state(each.id, Crashed(message=message), force=True)
    return [each.name for each in dead]
