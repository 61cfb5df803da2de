"""`ladd compare`, `ladd replay` and `ladd track`: what is known of runs."""

import argparse
import contextlib
from pathlib import Path

from ladd.cli.arguments import add_command, check_suite_folder, names, wholes

COMPARE = """\
Print one table: a row per group of the --by keys, a column per token step (or per metric, where several are asked
for), each cell the mean over seeds and its standard error. Groups that hold several sweeps are told apart by a key more
in the names of rows, never averaged; rows that were not measured alike are refused. References, such as real data, are
in results/compare.txt.
"""
KEYS_NOTE = """\
keys: suite, sweep, model, family, schedule, L, K, w, token_steps, latent_steps, temperature, given.
Without temperature among them, each sweep is shown at its temperature nearest to 1.
"""


def run_compare(parsed: argparse.Namespace) -> None:
    for folder in parsed.suite:
        check_suite_folder(folder)
    from ladd.registry import suite_folder
    from ladd.runs.table import comparison, sweep_rows

    rows = sweep_rows(parsed.suite, parsed.source)
    with suite_folder(parsed.suite[0]):  # whose systems and metrics have their titles and places
        print(comparison(rows, parsed.by, parsed.metric, parsed.steps), end="")


def add_compare(commands: argparse._SubParsersAction) -> None:
    text = "print a table of all sweeps, by what they differ in"
    compare = add_command(commands, "compare", run_compare, help=text, description=COMPARE, epilog=KEYS_NOTE)
    here = [Path(".")]
    compare.add_argument(
        "--suite", nargs="+", type=Path, default=here, metavar="FOLDER", help="of params.yaml (default: this one)"
    )
    compare.add_argument(
        "--by", type=names, default=["family", "L", "K", "schedule"], help="default: family,L,K,schedule"
    )
    compare.add_argument("--metric", type=names, default=[], help="default: swd, or gen_ppl of text")
    compare.add_argument("--steps", type=wholes, default=[], help="token steps to show (default: all)")
    compare.add_argument(
        "--source",
        choices=["dvc", "mlflow"],
        default="dvc",
        help="results/compare.csv, or the runs that MLflow has of the suite as it is now (default: dvc)",
    )


REPLAY = """\
Print what it takes to get a tracked run again, and what differs today: code, parameters, inputs, libraries. With --go,
do it, in a work tree of its own that shares DVC's cache: the commit and the params.yaml of the run, `dvc repro` of its
stage, and a comparison of every output. The exit code is 1 if one is different. Outputs that hold seconds of the clock
are named as such, and may differ.
"""


def run_replay(parsed: argparse.Namespace) -> None:
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
    replay = add_command(commands, "replay", run_replay, help="get a tracked run again", description=REPLAY)
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
    check_suite_folder(parsed.suite)
    from ladd.config import load_suite
    from ladd.runs.sync import sync

    with contextlib.chdir(parsed.suite):
        for item in sync(load_suite()):
            print(f"{item.stage:<32} {item.outcome}{': ' * bool(item.reason)}{item.reason}", flush=True)


def add_track(commands: argparse._SubParsersAction) -> None:
    track = commands.add_parser("track", help="tracked runs: `ladd track sync` fills MLflow from what DVC has")
    actions = track.add_subparsers(required=True, metavar="ACTION")
    sync = add_command(actions, "sync", run_sync, help="fill MLflow from what DVC has", description=SYNC)
    sync.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
