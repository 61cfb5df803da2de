"""`ladd track`: the tracked runs of a suite."""

from __future__ import annotations

import argparse
import contextlib

from ladd.cli.arguments import check_suite_folder

DESCRIPTION = """\
Give every stage that dvc.lock has and that is up to date its run in MLflow, from the files that it wrote: for a fresh
clone, after `dvc pull`, and for what DVC restored from its cache without running it. Outdated stages are left alone.
Runs of the suite as it is now are then marked as current, all others as superseded, and the comparison is put on the
run of the suite. Doing it again changes nothing.
"""


def run_sync(parsed: argparse.Namespace) -> None:
    """Print one line per stage."""
    check_suite_folder(parsed.suite)
    from ladd.config import load_suite
    from ladd.runs.sync import sync

    with contextlib.chdir(parsed.suite):
        for item in sync(load_suite()):
            print(f"{item.stage:<32} {item.outcome}{': ' * bool(item.reason)}{item.reason}", flush=True)


def add_track(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser of `ladd`."""
    track = commands.add_parser("track", help="tracked runs: `ladd track sync` fills MLflow from what DVC has")
    actions = track.add_subparsers(required=True, metavar="ACTION")
    sync = actions.add_parser("sync", help="fill MLflow from what DVC has", description=DESCRIPTION)
    sync.set_defaults(run=run_sync)
    sync.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
