"""`ladd runs`, `ladd schema` and `ladd completion`: what there is, and what helps to write it."""

import argparse
import json

from ladd.cli.arguments import add_command, check_suite_folder

RUNS = """\
List the tracked runs of a suite, newest first: those of the suite as it is now, or all with --all. `ladd replay RUN_ID`
gets one again, `ladd generate runs:/RUN_ID` draws from its last checkpoint.
"""
SCHEMA = """\
Print the JSON schema of params.yaml, with the systems, samplers and tasks of the suite's own modules. Editors with a
YAML language server complete and check with it, where the first line of params.yaml is
# yaml-language-server: $schema=PATH
"""
COMPLETION = """\
Print a script that completes commands and options: eval "$(ladd completion bash)" in ~/.bashrc, or put it where
the shell looks for them.
"""


def run_runs(parsed: argparse.Namespace) -> None:
    check_suite_folder(parsed.suite)
    from ladd.runs.listing import listing

    print(listing(parsed.suite, everything=parsed.all), end="")


def add_runs(commands: argparse._SubParsersAction) -> None:
    runs = add_command(commands, "runs", run_runs, help="list the tracked runs of a suite", description=RUNS)
    runs.add_argument("--suite", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
    runs.add_argument("--all", action="store_true", help="superseded ones too")


def run_schema(parsed: argparse.Namespace) -> None:
    check_suite_folder(parsed.suite)
    from ladd.config.schema import schema

    print(json.dumps(schema(parsed.suite), indent=1))


def add_schema(commands: argparse._SubParsersAction) -> None:
    text = "print the JSON schema of params.yaml, for editors"
    made = add_command(commands, "schema", run_schema, help=text, description=SCHEMA)
    made.add_argument("--suite", default=".", metavar="FOLDER", help="whose modules count (default: this one)")


def run_completion(parsed: argparse.Namespace) -> None:
    import shtab

    from ladd.cli import make_parser

    print(shtab.complete(make_parser(), parsed.shell))


def add_completion(commands: argparse._SubParsersAction) -> None:
    text = "print a script that completes commands in a shell"
    completion = add_command(commands, "completion", run_completion, help=text, description=COMPLETION)
    completion.add_argument("shell", choices=["bash", "zsh", "tcsh"])
