"""A first look: two tiny models on the sawtooth, to a table and a figure (`make try`).

The suite is ladd/starters/first.yaml, its folder .work/try, and its tracked runs are an experiment of their own. All
stages run in this process, as Python and its libraries take longer to start than any of them takes to run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from pathlib import Path

from ladd.dry_run import run_stages
from ladd.errors import LaddError
from ladd.files import storage_error
from ladd.launch.overrides import read_values
from ladd.launch.pipeline import PIPELINE
from ladd.registry import PARAMS
from ladd.stages.planned import stages_in_order
from ladd.stages.runtime import EXIT_INTERRUPTED, WORK, stage_lock

ROOT = Path(__file__).resolve().parents[1]  # of the repository
SUITE = ROOT / "ladd/starters/first.yaml"
FOLDER = WORK / "try"  # from the root of the repository
INTRODUCTION = """\
Two tiny models on the sawtooth, a triangle wave at a random shift, as 0 and 1: MDLM, and Di-LADD with one code for each
sequence. One training each, of seconds: the numbers show how to read the table, and no more. `make repro` runs the
default suite.
"""
MODELS = {"mdlm": "MDLM", "di-seq": "Di-LADD, its code first"}  # sweeps, as they are shown
ROWS = 4  # samples of each


def first_run(repository: Path) -> Path:
    """Run all stages in .work/try of the repository, whatever was there before.

    Returns:
        The folder, with params.yaml, artifacts/ and results/.
    Raises:
        BusyError: it runs already.
        LaddError: a stage failed; a note says where its output is.
    """
    folder = repository / FOLDER
    with contextlib.chdir(repository), stage_lock(FOLDER.name):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(SUITE, folder / PARAMS)
        shutil.copy(repository / PIPELINE, folder)
        with contextlib.chdir(folder):
            run_stages(list(stages_in_order(read_values(Path(PARAMS)))))
    return folder


def summary(folder: Path) -> str:
    """Table, samples of both models at one token step, and what to open next."""
    results, shown = folder / "results", os.path.relpath(folder)
    table = (results / "compare.txt").read_text()
    text = [table, "Samples at one token step (# is 1):"]
    text += [f"  {row}  {name}" for key, name in MODELS.items() for row in _rows(results / f"samples/{key}.json")]
    return "\n".join(
        [
            *text,
            "",
            f"figure:  {results / 'plots/swd.png'}",
            f"report:  {results / 'report.html'}",
            f"samples: {results / 'samples.html'}",
            "runs:    make ui, experiment `try`",
            f'Python:  ladd.load("{shown}/di-seq").sample(4, steps=1).text',
        ]
    )


def _rows(path: Path) -> list[str]:
    """The first samples at the smallest budget."""
    items = json.loads(path.read_text())[0]["items"][:ROWS]
    return ["".join(text for text, _ in item).replace("1", "#").replace("0", ".") for item in items]


def main() -> None:
    """Entry point of ``python -m ladd.first_run``."""
    start = time.perf_counter()
    print(INTRODUCTION, flush=True)
    try:
        print(f"\n{summary(first_run(ROOT))}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if (problem := error if isinstance(error, LaddError) else storage_error(error)) is None:
            raise
        sys.exit("\n".join([str(problem), *getattr(error, "__notes__", [])]))
    print(f"{time.perf_counter() - start:.0f} seconds")


if __name__ == "__main__":
    main()
