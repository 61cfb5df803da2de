"""`ladd replay`, a tracked run again, and `ladd track`, the tracked runs of a suite."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from ladd.cli.arguments import check_suite_folder

REPLAY = """\
Print what it takes to get a tracked run again, and what differs today: code, parameters, inputs, libraries. With --go,
do it, in a work tree of its own that shares DVC's cache: the commit and the params.yaml of the run, `dvc repro` of its
stage, and a comparison of every output. The exit code is 1 if one is different. Outputs that hold seconds of the clock
are named as such, and may differ.
"""


def run_replay(parsed: argparse.Namespace) -> None:
    """Print, and run if asked to."""
    from ladd.launch.run import repro
    from ladd.launch.worktree import root_of
    from ladd.runs.replay import described, replay
    from ladd.tracking import find_run

    root = root_of(Path("."))
    run = find_run(root, parsed.run_id)
    if parsed.go:
        replay(root, run, repro, allow_dirty=parsed.dirty)
    else:
        print(described(root, run))


def add_replay(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser of `ladd`."""
    replay = commands.add_parser("replay", help="get a tracked run again", description=REPLAY)
    replay.set_defaults(run=run_replay)
    replay.add_argument("run_id", metavar="RUN_ID", help="of MLflow")
    replay.add_argument("--go", action="store_true", help="do it")
    replay.add_argument(
        "--dirty", action="store_true", help="with --go: also if the code of the run differed from its commit"
    )


SYNC = """\
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
    sync = actions.add_parser("sync", help="fill MLflow from what DVC has", description=SYNC)
    sync.set_defaults(run=run_sync)
    sync.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
