"""The examples of docs/by-hand.md run one after the other, as a reader types them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs/by-hand.md"
BLOCK = re.compile(r"^(<!-- not run: .*-->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_run(capsys):
    blocks = BLOCK.findall(PAGE.read_text())
    names: dict = {}
    for skipped, code in blocks:
        if not skipped:
            exec(compile(code, str(PAGE), "exec"), names)  # their assertions are the test
    assert len([code for skipped, code in blocks if not skipped]) > 3
    assert "t 1.00 -> 0.75" in capsys.readouterr().out
