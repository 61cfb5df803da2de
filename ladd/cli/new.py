"""`ladd new`: a suite on one's own data."""

import argparse
import shlex
from pathlib import Path

from ladd.cli.arguments import add_command, number

NEW = """\
Write suites/NAME, a small suite on your own data: a file or folder of .txt, .jsonl, .csv, .parquet or .arrow (.gz and
others packed), what `save_to_disk` of datasets wrote, or ORGANISATION/NAME of the Hugging Face hub. It says which field
it takes, and how it cuts the text; every check comes first, and a suite that is there is never changed.
"""
LAYOUTS = ("text", "rows")


def run_new(parsed: argparse.Namespace) -> None:
    from ladd.launch.new import Request, new_suite
    from ladd.launch.worktree import root_of

    request = Request(
        parsed.name,
        parsed.data,
        layout=parsed.task,
        tokenizer=parsed.tokenizer,
        field=parsed.field,
        encoding=parsed.encoding,
        minutes=parsed.minutes,
    )
    written = new_suite(root_of(Path()), request)
    for note in written.notes:
        print(note)
    folder = shlex.quote(f"suites/{parsed.name}")
    print(f"{folder} is ready: look at its params.yaml, fill in source and licence of the data, then")
    print(f"    cd {folder} && dvc repro && cat results/compare.txt")


def add_new(commands: argparse._SubParsersAction) -> None:
    new = add_command(commands, "new", run_new, help="a suite on your own data", description=NEW)
    new.add_argument("name", metavar="NAME", help="of the suite: letters, digits and hyphens")
    new.add_argument("--data", required=True, metavar="PATH", help="file, folder, or ORGANISATION/NAME of the hub")
    new.add_argument(
        "--task",
        choices=LAYOUTS,
        help="text: documents are packed into blocks; rows: each is a short string, padded (default: guessed)",
    )
    new.add_argument(
        "--tokenizer",
        metavar="KIND",
        help="bpe, character, a tokenizer.json or a folder with one, or ORGANISATION/NAME of the hub (default: bpe for "
        "text, character for rows)",
    )
    new.add_argument("--field", help="of tables: the column with the text (default: guessed)")
    new.add_argument("--encoding", default="utf-8", help="of text, JSON lines and CSV (default: utf-8)")
    new.add_argument(
        "--minutes",
        type=number(0.1, 600),
        default=3.0,
        help="that the trainings may take on 2 CPU cores, about (default: 3)",
    )
