"""The examples of docs/api.md run one after the other, in the folder of a suite, and each is short."""

from __future__ import annotations

import re
from pathlib import Path

import ladd
from tests.generation.conftest import sawtooth, suite  # noqa: F401

PAGE = Path(__file__).resolve().parents[1] / "docs/api.md"
BLOCK = re.compile(r"^(<!-- not run: .*-->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINES = 5


def test_examples_run(suite, tmp_path, capsys):  # noqa: F811
    names: dict = {}
    blocks = BLOCK.findall(PAGE.read_text())
    for skipped, code in blocks:
        assert len([line for line in code.splitlines() if line.strip()]) <= LINES, code
        if not skipped:
            kept = code.replace('"kept"', repr(str(tmp_path / "kept")))
            exec(compile(kept, str(PAGE), "exec"), names)  # their assertions are the test
    assert len([code for skipped, code in blocks if not skipped]) > 7
    assert "(4, 8)" in capsys.readouterr().out


def test_names_of_the_table_are_there_and_no_others():
    table = PAGE.read_text().split("| Name | What |")[1].split("\n\n")[0]
    named = {name.removeprefix("ladd.") for name in re.findall(r"`(ladd\.\w+|Model|Drawn|Latents)\b", table)}
    assert named >= set(ladd.__all__)
    for cell in re.findall(r"^\| (.*?) \|", table, re.MULTILINE):
        for owner, name in re.findall(r"`(Model|Drawn)\.(\w+)", cell):
            kind = getattr(ladd, owner)
            assert hasattr(kind, name) or name in (*kind.__annotations__, "suite", "name", "network", "task", "origin")
