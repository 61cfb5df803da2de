"""Ray: workers that train one model together, and tasks that are shared out. The only code that imports it.

Checkpoints, resumption and metrics are the training loop's own: Ray starts processes, joins them into a group, and
says when one is gone. `RAY_ADDRESS` names a running cluster; without it Ray runs on this machine for as long as it is
needed.
"""

import contextlib
import logging
import os
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladd.config import ComputeConfig, TrainingConfig
from ladd.errors import ClusterError, ConfigError, LaddError, StoreError
from ladd.object_store import VARIABLE, ObjectStore, store_asked

_PACKAGE = Path(__file__).resolve().parent
_CODE = str(_PACKAGE.parent)
TRIES = 3  # starts of the workers in a row without a new checkpoint
_PAUSE = 20.0  # seconds after a try for which the store was away
_NOTES = Path(".work")
_OBJECT_STORE = 2**28  # bytes; data and checkpoints go through files
_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # 2 s otherwise, and as long for each start and end
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",  # 60 s otherwise, after which a slow start begins anew, for ever
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
}
_FORWARDED = ("AWS_", "LADD_", "MLFLOW_", "OMP_")  # variables that begin so are given to workers
_OF_NODES = ("LADD_NODE_FOLDER",)  # but not these: each node has its own


@dataclass(frozen=True)
class Workers:
    """How many there are, and whether each has a GPU of its own."""

    count: int
    gpu: bool


def workers_asked(compute: ComputeConfig) -> Workers | None:
    """The workers that ``LADD_WORKERS`` asks for, to share out what gives the same bytes on any number of them; none
    where nodes have no folder in common. Raises ConfigError: it is no positive number."""
    asked = _number("LADD_WORKERS")
    if asked is not None and store_asked() is not None:
        logging.getLogger(__name__).warning(
            "LADD_WORKERS is left aside, as %s is set: without a folder in common, this process does it all", VARIABLE
        )
        return None
    return None if asked is None else Workers(asked, gpu=compute.device == "cuda")


def training_workers(training: TrainingConfig, compute: ComputeConfig) -> Workers:
    """The workers of a training: as many as its settings say, or as ``LADD_TRAINING_WORKERS`` says, with which a
    training goes on where the cluster has become smaller or larger. Raises ConfigError: that does not divide the
    batch."""
    count, part = _number("LADD_TRAINING_WORKERS"), training.executor.micro_batch or 1
    if count is not None and training.batch % (count * part):
        raise ConfigError(
            f"LADD_TRAINING_WORKERS is {count}, and batch {training.batch} cannot be shared out evenly to so many in "
            f"parts of {part}; give it a number that divides {training.batch // part}, or unset it"
        )
    return Workers(count or training.executor.workers, gpu=compute.device == "cuda")


def _number(variable: str) -> int | None:
    asked = os.environ.get(variable)
    if asked is not None and (not asked.isdecimal() or int(asked) < 1):
        raise ConfigError(f"{variable} is {asked!r}; give it the number of Ray workers, at least 1, or unset it")
    return None if asked is None else int(asked)


def train_on_workers(
    function: Callable[..., None],
    arguments: Sequence[Any],
    workers: Workers,
    progress: Callable[[], int],
    store: ObjectStore | None = None,
) -> None:
    """Call a function on all workers of a process group; start them again when one dies. Raises LaddError: one that
    the function raised: another try would raise it again. ClusterError: the workers died ``TRIES`` times without a
    new checkpoint, or the cluster is gone. ``function``: importable by name; it is called in this process's working
    directory, where all nodes have that. ``progress``: step of the latest checkpoint; the workers are started again
    as long as it grows. ``store``: of nodes that have no folder in common; they get the code from this process, too."""
    with _cluster(workers, ship=store is not None):
        step, tries = progress(), 0
        while (failure := _attempt(function, arguments, workers, store)) is not None:
            tries = 1 if progress() > step else tries + 1
            step = progress()
            if tries == TRIES or not _alive():
                raise ClusterError(
                    f"the workers ended before their time, {tries} times in a row at step {step}, the last time with: "
                    f"{failure}\nRun the stage again to go on from the checkpoint of step {step}."
                )
            logging.getLogger(__name__).warning("%s\nThe workers start again from step %d.", failure, step)


def share_out(function: Callable[..., None], arguments: Sequence[Any], workers: Workers) -> None:
    """Call ``function(*arguments, worker, workers.count)`` on every worker, at the same time. Raises LaddError: one
    that the function raised. ClusterError: a worker died ``TRIES`` times, or the cluster is gone. ``function``:
    importable by name; it is called in this process's working directory, and its results are files."""
    with _cluster(workers):
        import ray
        from ray.exceptions import RayError, RayTaskError

        task = ray.remote(num_cpus=1, num_gpus=int(workers.gpu), max_retries=TRIES - 1)(_call)
        calls = [
            task.remote(function, (*arguments, worker, workers.count), os.getcwd()) for worker in range(workers.count)
        ]
        try:
            ray.get(calls)
        except RayTaskError as error:
            raise _own_error([error.cause]) or error from None
        except RayError as error:
            raise ClusterError(f"{error}\nRun the stage again: it goes on from the files that are finished.") from error


def _attempt(
    function: Callable[..., None], arguments: Sequence[Any], workers: Workers, store: ObjectStore | None
) -> str | None:
    """One start of all workers; None where they ended well, and what happened where one died."""
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

    class Trainer(TorchTrainer):
        """Leaves the handler of SIGINT as it is: Ray's own would abort the workers, which save when they are asked."""

        def _register_sigint_handler(self, controller: Any) -> None:
            pass

    if store is not None:
        try:
            store.check()
        except StoreError as error:
            time.sleep(_PAUSE)
            return str(error)
    with _notes(store) as (system, notes):
        trainer = Trainer(
            _call_in_group,
            train_loop_config={"call": (function, tuple(arguments), None if store else os.getcwd())},
            scaling_config=ScalingConfig(num_workers=workers.count, use_gpu=workers.gpu),
            # It starts nothing again: it does not know the steps.
            run_config=RunConfig(
                name="run",
                storage_path=notes,
                storage_filesystem=system,
                failure_config=FailureConfig(max_failures=0),
            ),
        )
        try:
            trainer.fit()
        except WorkerGroupError as error:
            if own := _own_error(error.worker_failures.values()):
                raise own from None
            return str(error)
        except (TrainingFailedError, RayError) as error:
            return str(error)
    return None


@contextlib.contextmanager
def _notes(store: ObjectStore | None) -> Iterator[tuple[Any, str]]:
    """A file system, None for that of this machine, and a folder of it for notes of Ray, where all nodes see them."""
    if store is not None:
        name = f"ray/{secrets.token_hex(8)}"
        try:
            yield store.arrow(name)
        finally:
            with contextlib.suppress(StoreError):
                store.remove(name)
        return
    _NOTES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ray-", dir=_NOTES.absolute(), ignore_cleanup_errors=True) as notes:
        yield None, notes


def _own_error(errors: Iterable[BaseException | None]) -> LaddError | None:
    """The error of ours among those of workers, which Ray wraps. A store that is away may be back for the next try."""
    for error in errors:
        while error is not None:
            if isinstance(error, LaddError) and not isinstance(error, StoreError):
                return error
            error = getattr(error, "_base_exc", None) or getattr(error, "cause", None) or error.__cause__
    return None


def _call_in_group(config: dict[str, Any]) -> None:
    _call(*config["call"])


def _call(function: Callable[..., None], arguments: Sequence[Any], folder: str | None) -> None:
    """On a worker: call the function where the driver is, or, without a folder in common, where Ray started it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if folder is not None:
        os.chdir(folder)
    function(*arguments)


@contextlib.contextmanager
def _cluster(workers: Workers, *, ship: bool = False) -> Iterator[None]:
    """Join the cluster of ``RAY_ADDRESS``, or start one on this machine that ends with the block. Raises
    ClusterError: Ray is not installed, or the cluster cannot be joined. ``ship``: send the code to the nodes."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"{error}: Ray is not part of the default install; add it: make install-cluster") from None
    environment = _environment(ship=ship)
    with tempfile.TemporaryDirectory(prefix="ladd-ray-", ignore_cleanup_errors=True) as temporary:
        own: dict[str, Any] = {
            "address": "local",
            "num_cpus": max(workers.count, os.cpu_count() or 1),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE,
            "_temp_dir": temporary,
        }
        address = os.environ.get("RAY_ADDRESS")
        if address:
            _knock(address)
        handler = signal.getsignal(signal.SIGTERM)  # Ray puts one of its own in its place
        try:
            ray.init(**({} if address else own), runtime_env=environment, logging_level=logging.WARNING)
        except Exception as error:  # Ray has a type for every reason
            where = f"the cluster of RAY_ADDRESS={address} cannot be joined" if address else "Ray does not start"
            raise ClusterError(f"{where}: {error}") from error
        signal.signal(signal.SIGTERM, handler)
        try:
            yield
        finally:
            ray.shutdown()


def _environment(*, ship: bool) -> dict[str, Any]:
    """What workers get from this process. They run the code that it runs, whatever else is installed."""
    names = (name for name in os.environ if name.startswith(_FORWARDED) and name not in _OF_NODES)
    variables = {name: os.environ[name] for name in names}
    if ship:
        return {"env_vars": variables, "py_modules": [str(_PACKAGE)], "excludes": ["**/__pycache__"]}
    variables["PYTHONPATH"] = os.pathsep.join([_CODE, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"env_vars": variables}


def _knock(address: str) -> None:
    """Ray itself tries for minutes where nothing answers. Raises ClusterError: nothing does."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():  # "auto", or a service that Ray finds by another name
        return
    try:
        socket.create_connection((host.rpartition("/")[2], int(port)), timeout=10).close()
    except OSError as error:
        raise ClusterError(
            f"RAY_ADDRESS is {address}, where nothing answers ({error}); start the cluster, or unset it"
        ) from None


def _alive() -> bool:
    import ray

    try:
        return bool(ray.nodes())
    except Exception:  # whatever Ray raises: the caller raises the error that led here
        return False
