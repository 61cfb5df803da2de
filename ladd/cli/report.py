"""`ladd report`: the pages of a suite again, from results that are there."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from ladd.cli.arguments import add_command, check_suite_folder

REPORT = """\
Write report.html and samples.html of a suite from the results that are there, in git or from `dvc repro`, with the
commit and the date of these results. Nothing is trained, sampled or measured, and nothing of what DVC has is touched.
"""


def run_report(parsed: argparse.Namespace) -> None:
    check_suite_folder(parsed.suite)
    from ladd.config import load_suite
    from ladd.stages.pages import rebuild

    folder = parsed.to.resolve() if parsed.to is not None else Path("results/page")
    with contextlib.chdir(parsed.suite):
        rebuild(load_suite(), folder)
        print(f"report:  {(folder / 'report.html').resolve()}\nsamples: {(folder / 'samples.html').resolve()}")


def add_report(commands: argparse._SubParsersAction) -> None:
    report = add_command(
        commands, "report", run_report, help="write the pages of a suite from its results", description=REPORT
    )
    report.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
    report.add_argument("--to", type=Path, metavar="FOLDER", help="where to write (default: results/page in the suite)")
