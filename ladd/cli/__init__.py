"""The command line, one module per command.

What takes time to import is imported when a command runs, so that help and usage errors come at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ladd.cli.generate import add_generate
from ladd.errors import LaddError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 1 for an error of ours (its message goes to stderr), or 2 for wrong usage."""
    parsed = make_parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except LaddError as error:
        print(f"ladd: {error}", file=sys.stderr)
        return 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of `ladd` with all its commands; a parsed command has its function in ``run``."""
    parser = argparse.ArgumentParser(prog="ladd", description="Latent-augmented discrete diffusion.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_generate,):
        add(commands)
    return parser
