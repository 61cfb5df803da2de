"""`ladd launch`: a suite with some settings changed; and what commands that launch have in common."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ladd.config.messages import cut, shown
from ladd.errors import ConfigError
from ladd.yaml_files import parse_yaml

DESCRIPTION = """\
Run a suite with some of its settings changed, in a git worktree of its own: the working tree stays as it is. The
difference is printed first. Results go to .work/launches/NAME, tracked runs to the MLflow experiment SUITE@NAME; with
the same values in params.yaml, `dvc repro` takes what was computed from DVC's cache.
"""


def run_launch(parsed: argparse.Namespace) -> None:
    """Print the difference, then run."""
    from ladd.launch.overrides import launch_overrides, plan_overrides
    from ladd.launch.run import repro

    root, folder, overrides = checkout(parsed.suite), parsed.suite.resolve(), dict(parsed.overrides)
    plan = plan_overrides(root, folder, overrides, name=parsed.name)
    print("\n".join([f"launch {plan.name}:", *(f"  {line}" for line in plan.difference)]), flush=True)
    if not parsed.dry_run:
        show(launch_overrides(root, folder, overrides, repro, name=parsed.name).folder)


def add_launch(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser of `ladd`."""
    launch = commands.add_parser(
        "launch",
        help="run a suite with some settings changed",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    launch.set_defaults(run=run_launch)
    launch.add_argument("suite", metavar="SUITE", type=Path, help="folder of params.yaml; . for this one")
    launch.add_argument(
        "overrides",
        metavar="KEY=VALUE",
        nargs="+",
        type=assignment,
        help="a dotted key of params.yaml and its new value in YAML, such as sweeps.di-seq.temperature=0.9",
    )
    launch.add_argument("--name", help="of the launch (default: the suite's, and a hash of the changes)")
    launch.add_argument("--dry-run", action="store_true", help="print the difference and run nothing")


def assignment(text: str) -> tuple[str, Any]:
    """KEY=VALUE, where the value is YAML."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not KEY=VALUE")
    try:
        read = parse_yaml(value, f"{key}: {shown(value)}")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(cut(str(error))) from None
    if isinstance(read, str) and _is_number(read):
        raise argparse.ArgumentTypeError(
            f"{key}: YAML takes {shown(value)} for text; write a number with a point, as 1.0e-3"
        )
    return key, read


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def checkout(folder: Path) -> Path:
    """Root of the checkout that a folder is in. Raises LaunchError: it is in none."""
    from ladd.launch.worktree import root_of

    return root_of(folder)


def show(folder: Path) -> None:
    """Print the table of a suite that has run, and where it is."""
    print((folder / "results/compare.txt").read_text())
    print(f"suite and results: {folder}")
