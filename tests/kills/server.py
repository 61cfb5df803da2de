"""Runs stages, each in a fork of a process that has imported everything: `python -m tests.kills.server`.

It reads one request per line from its input, and writes one answer for each, both JSON.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy.orm import configure_mappers

from tests.stages.tiny import REPOSITORY, environment

STAGES = (
    *("data", "encode", "codebook", "stage1", "prior", "baseline", "stage2"),
    *("sample", "bound", "measure", "reference", "compare"),
)
LIMIT = 300  # seconds after which a stage that hangs is ended
LATE = (  # what stages import when they need it
    *("mlflow.store.tracking.sqlalchemy_store", "pyarrow.parquet", "sklearn.cluster", "sklearn.decomposition"),
    *("tokenizers", "transformers"),
)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Outcome:
    """How a stage ended.

    Attributes:
        code: exit code; minus the number of the signal that ended it.
        changes: that it made, or was about to make when it was killed.
        output: what it printed.
    """

    code: int
    changes: list[str]
    output: str


class Server:
    """The process that runs stages, from outside."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.server"],
            cwd=REPOSITORY,
            env=environment() | ONE_THREAD | {"PYTHONPATH": str(REPOSITORY), "TOKENIZERS_PARALLELISM": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, repository: Path, folder: Path, stage: str, *, at: int | None = None) -> Outcome:
        """Run a stage in the folder of a suite.

        Args:
            repository: changes in it are counted.
            folder: of the suite.
            stage: NAME or NAME@KEY.
            at: number of the change before which it is killed.
        """
        log = repository / "log.txt"
        log.unlink(missing_ok=True)
        request = {"repository": str(repository), "folder": str(folder), "stage": stage, "at": at, "log": str(log)}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        return Outcome(answer["code"], answer["changes"], log.read_text(errors="replace"))

    def close(self) -> None:
        """End it."""
        self.process.communicate()


def main() -> None:
    """Answer requests until the input ends."""
    sys.dont_write_bytecode = True
    modules = {name: importlib.import_module(f"ladd.stages.{name}") for name in STAGES}
    for name in LATE:
        importlib.import_module(name)
    configure_mappers()  # of MLflow's tables: a second in every fork
    # Seconds are the only thing in the outputs that is not a function of the suite.
    modules["sample"].time = SimpleNamespace(perf_counter=itertools.count().__next__)
    for line in sys.stdin:
        request = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _run(request, modules, writer)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            changes = pipe.read().splitlines()
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status), "changes": changes}), flush=True)


def _run(request: dict[str, Any], modules: dict[str, Any], report: int) -> None:
    """Run a stage as its command does, and end this process."""
    from ladd.stages.runtime import run_stage
    from tests.kills.changes import Killer

    code: Any = 1
    try:
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number, file in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
            os.dup2(file, number)
        signal.alarm(LIMIT)
        os.chdir(request["folder"])
        name, _, key = request["stage"].partition("@")
        sys.argv = [name, *([key] if key else [])]
        Killer(Path(request["repository"]), request["at"], report).install()
        run_stage(name, modules[name].main, keyed=bool(key))
        code = 0
    except SystemExit as error:
        code = error.code
        if isinstance(code, str):
            print(code)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
