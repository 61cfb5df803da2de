"""The command line, one module per command.

What takes time to import is imported when a command runs, so that help and usage errors come at once.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from ladd.cli.about import add_completion, add_runs, add_schema
from ladd.cli.arguments import Parser
from ladd.cli.cite import add_cite
from ladd.cli.export import add_export
from ladd.cli.generate import add_generate
from ladd.cli.launch import add_ablate, add_launch
from ladd.cli.new import add_new
from ladd.cli.report import add_report
from ladd.cli.search import add_search
from ladd.cli.tracked import add_compare, add_replay, add_track
from ladd.errors import LaddError
from ladd.files import storage_error

COMMANDS = (
    add_ablate,
    add_cite,
    add_compare,
    add_completion,
    add_export,
    add_generate,
    add_launch,
    add_new,
    add_replay,
    add_report,
    add_runs,
    add_schema,
    add_search,
    add_track,
)
INTERRUPTED = 130  # as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    It is 0, 1 for an error of ours (its message goes to stderr), 2 for wrong usage, or 130 after Ctrl-C."""
    parsed = make_parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except (Exception, KeyboardInterrupt) as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        said = "interrupted" if interrupted else error if isinstance(error, LaddError) else storage_error(error)
        if said is None:
            raise
        print("\n".join([f"ladd: {said}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return INTERRUPTED if interrupted else 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of `ladd` with all its commands; a parsed command has its function in ``run``."""
    parser = Parser(prog="ladd", description="Latent-augmented discrete diffusion.")
    parser.add_argument("--version", action="version", version=f"ladd {version('ladd')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser
