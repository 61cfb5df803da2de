"""`ladd cite`: what to cite of a suite."""

import argparse

from ladd.cli.arguments import add_command, check_suite_folder

CITE = """\
Print BibTeX entries of the systems and samplers that a suite uses, each once. What has none is listed in a comment.
"""


def run_cite(parsed: argparse.Namespace) -> None:
    check_suite_folder(parsed.suite)
    from ladd.report.cite import bibliography

    print(bibliography(parsed.suite), end="")


def add_cite(commands: argparse._SubParsersAction) -> None:
    made = add_command(commands, "cite", run_cite, help="print BibTeX of what a suite uses", description=CITE)
    made.add_argument("suite", nargs="?", default=".", metavar="FOLDER", help="of params.yaml (default: this one)")
