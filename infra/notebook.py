"""Run a notebook of docs/ in this process, and keep in it what its cells print: `python infra/notebook.py`.

The default notebook needs the models of `make try`. Cells are plain Python: no kernel is started.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs/notebooks/first.ipynb"
Cell = dict[str, Any]


def code_cells(notebook: dict[str, Any]) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell: Cell) -> str:
    return "".join(cell["source"])


def stored(cell: Cell) -> str:
    """What a cell printed when the notebook was kept."""
    return "".join(line for output in cell["outputs"] for line in output["text"])


def run(sources: list[str]) -> Iterator[str]:
    """Run cells one after the other; what each of them prints."""
    names: dict[str, Any] = {}
    for number, text in enumerate(sources, 1):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, f"cell {number}", "exec"), names)
        yield printed.getvalue()


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK
    notebook = json.loads(path.read_text())
    cells = code_cells(notebook)
    with contextlib.chdir(path.parent):
        for number, printed in enumerate(run([source(cell) for cell in cells]), 1):
            lines = printed.splitlines(keepends=True)
            outputs = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []
            cells[number - 1] |= {"execution_count": number, "outputs": outputs}
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
