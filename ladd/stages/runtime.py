"""How every stage runs: check the suite, take the lock, publish the outputs whole."""

import contextlib
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ladd.config import Suite, load_suite
from ladd.config.data import check_packages
from ladd.config.replicates import replicate_of
from ladd.config.suite import suite_of
from ladd.diffusion.noise import derive
from ladd.errors import ChangedError, LaddError, TemporaryError
from ladd.files import (
    check_space,
    naming,
    remove,
    remove_folder,
    remove_unfinished,
    replace_folder,
    storage_error,
    try_outputs,
)
from ladd.git import main_checkout
from ladd.lock import exclusive, turn
from ladd.progress import STANDARD_ERROR
from ladd.stages import STARTED
from ladd.stages.declaration import Declaration, read_declaration
from ladd.stages.manifest import check_outputs, write_manifest
from ladd.stages.plan import check_plan, renew_plan, started_by_dvc

WORK = Path(".work")
TIMED = "sample"  # the stage that measures seconds; it takes its turn itself, in the process that samples
# Stages that MLflow hears of.
FILED = ("stage1", "codebook", "prior", "distil", "baseline", "stage2", "adapt", "measure", "compare")
KEPT_STATES = 2  # resume states of a stage under other settings
EXIT_INTERRUPTED = 130  # as shells have it
EXIT_TEMPORARY = 75  # "temporary failure" of sysexits.h: a later try may succeed


class Stage:
    """A stage that holds its lock. ``key``: of its block; "" where the stage has none. ``seed``: of what it trains.
    ``work``: folder of resume state, only for this fingerprint."""

    def __init__(self, suite: Suite, key: str, declaration: Declaration):
        self._suite: Suite | None = suite
        self._settings: dict[str, Any] = {}
        self.key, self.declaration = key, declaration
        # Neither the key nor the blocks beside it count: a renamed model is the same one.
        self.seed = derive(suite.seed, declaration.name.partition("@")[0], replicate_of(self.key))
        self.fingerprint = declaration.fingerprint()
        self.work = WORK / declaration.name / self.fingerprint[:16]
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def suite(self) -> Suite:
        """The whole params.yaml, as it was when the stage started."""
        if self._suite is None:
            self._suite = suite_of(self._settings)
        return self._suite

    def __getstate__(self) -> dict[str, Any]:
        """State for a worker, with plain settings. It checks them where it trains: only there can it import the modules
        of the suite's folder, whose classes settings may have."""
        return vars(self) | {"_suite": None, "_settings": self.suite.written.model_dump()}

    @contextlib.contextmanager
    def output(self, path: str | Path) -> Iterator[Path]:
        """A folder to write into; it takes the place of ``path``, with a manifest, when the block ends well. Raises
        ChangedError: what the stage depends on is no longer what it began with."""
        target = Path(path)
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            with naming(target):
                yield partial
                write_manifest(partial, stage=self.declaration.name)
                self.declaration.check()
                replace_folder(partial, target)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)  # it takes space, of which there may be none
            raise


@contextlib.contextmanager
def stage_lock(name: str) -> Iterator[None]:
    """One process at a time per stage of a suite: an orphan of a killed `dvc` keeps its lock until it ends. Raises
    BusyError: another process has the lock."""
    with exclusive(WORK / f"{name}.lock", name):
        yield


def machine(suite: Suite, what: str, *, alone: bool) -> contextlib.AbstractContextManager[None]:
    """A turn on this machine: what is timed runs alone among the stages of the repository and of its work trees.

    Machines that share a checkout do not wait for each other, nor do processes with different GPUs."""
    device: str = suite.compute.device
    if device == "cuda":
        device += "-" + os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace("/", "_")
    folder = main_checkout(Path(suite.root)) / WORK
    return turn(folder / f"machine-{socket.gethostname()}-{device}.lock", what, alone=alone)


def execute(name: str, key: str | None, body: Callable[[Stage], None], started: float | None = None) -> None:
    """Run a stage in the folder of its suite; its resume state is removed when it ends well, with older ones. Raises
    LaddError: the suite is wrong, the plan that DVC has is not that of the suite, an input is missing or damaged, an
    output cannot be written, the stage is running already, the tracking server is away, or what the stage depends on
    was edited meanwhile. Then its outputs are removed, as DVC removes them before it runs a stage, and its resume
    state stays. ``started``: when the process began to import the code, if the stage is all that it is for."""
    suite = load_suite()
    check_packages(suite.data)
    declaration = read_declaration(name, key)
    if name in FILED:
        from ladd.tracking import check_server, tracking_uri  # here, as mlflow takes seconds to import

        check_server(tracking_uri(Path(suite.root)))  # one that is away ends the stage before anything is computed
    together = contextlib.nullcontext() if name == TIMED else machine(suite, declaration.name, alone=False)
    with stage_lock(declaration.name), together:
        # Both again, as the turn may have taken a while. The suite is read last: an edit in between shows at the end.
        declaration = read_declaration(name, key)
        if started_by_dvc():
            check_plan(declaration.name, declaration.entry)
        else:
            renew_plan()
        check_outputs(declaration.artifacts)
        stage = Stage(load_suite(), key or "", declaration)
        if started is not None:
            declaration.check_code(started)
        for path in declaration.outputs:
            remove_unfinished(path)
        try_outputs(declaration.outputs)
        try:
            body(stage)
            declaration.check()
        except ChangedError:
            for path in declaration.outputs:
                remove(path)
            raise
        check_space(Path())  # for DVC, which records the stage now
        remove_folder(stage.work)
        _remove_old_states(stage.work.parent)


def _remove_old_states(folder: Path) -> None:
    """Keep the resume state of the settings that were last tried, so that a killed training can still go on."""
    states = sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in states[KEPT_STATES:]:
        remove_folder(path)
    for path in folder.glob(".*"):  # what a kill left of a removal
        shutil.rmtree(path)
    if not states:
        folder.rmdir()


def run_stage(name: str, body: Callable[[Stage], None], *, keyed: bool = True) -> None:
    """Entry point of a stage module: errors of ours end with a message and a non-zero exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = sys.argv[1:]
    if len(arguments) != keyed:
        sys.exit(f"usage: python -m ladd.stages.{name}" + (" KEY" if keyed else ""))
    try:
        execute(name, arguments[0] if keyed else None, body, STARTED)
    except TemporaryError as error:
        print(error, file=STANDARD_ERROR)
        sys.exit(EXIT_TEMPORARY)
    except KeyboardInterrupt:
        print("interrupted", file=STANDARD_ERROR)
        sys.exit(EXIT_INTERRUPTED)
    except LaddError as error:
        sys.exit(str(error))
    except Exception as error:
        if (problem := storage_error(error)) is None:
            raise
        sys.exit(str(problem))
