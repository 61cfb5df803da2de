"""`ladd compare`: a metric of all sweeps, by what they differ in."""

from __future__ import annotations

import argparse
from pathlib import Path

from ladd.cli.arguments import check_suite_folder, names, wholes

DESCRIPTION = """\
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
    """Read the suites and print the table."""
    for folder in parsed.suite:
        check_suite_folder(folder)
    from ladd.registry import suite_folder
    from ladd.runs.rows import sweep_rows
    from ladd.runs.table import comparison

    rows = sweep_rows(parsed.suite, parsed.source)
    with suite_folder(parsed.suite[0]):  # whose systems and metrics have their titles and places
        print(comparison(rows, parsed.by, parsed.metric, parsed.steps), end="")


def add_compare(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser of `ladd`."""
    compare = commands.add_parser(
        "compare",
        help="print a table of all sweeps, by what they differ in",
        description=DESCRIPTION,
        epilog=KEYS_NOTE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.set_defaults(run=run_compare)
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
