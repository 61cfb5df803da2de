"""`ladd replay`: a tracked run again."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
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
    replay = commands.add_parser("replay", help="get a tracked run again", description=DESCRIPTION)
    replay.set_defaults(run=run_replay)
    replay.add_argument("run_id", metavar="RUN_ID", help="of MLflow")
    replay.add_argument("--go", action="store_true", help="do it")
    replay.add_argument(
        "--dirty", action="store_true", help="with --go: also if the code of the run differed from its commit"
    )
