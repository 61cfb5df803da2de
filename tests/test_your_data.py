"""The commands of docs/your-data.md, on data as it describes them; and one suite to its table (slow)."""

from __future__ import annotations

import gzip
import random
import re
import shlex
import shutil
from pathlib import Path

import pytest
import sklearn.datasets

from ladd.cli import main
from ladd.config import load_suite
from ladd.launch.overrides import read_values
from ladd.tasks.text.tokenizer import Tokenizer
from ladd.yaml_files import write_yaml
from tests.stages.tiny import REPOSITORY, begin, copy_dvc, run_all

PAGE = (REPOSITORY / "docs/your-data.md").read_text()
COMMANDS = {
    name: block.splitlines() for name, block in re.findall(r"<!-- test: (\w+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL)
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with the package, and the files that the page names; also the working directory."""
    for name in ("ladd", "dvc.yaml"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ladd.launch.worktree.root_of", lambda folder: tmp_path)
    generator = random.Random(0)
    pairs = [(generator.randrange(100), generator.randrange(100)) for _ in range(2000)]
    lines = [f"{i},{a}+{b}={a + b},{'even' if (a + b) % 2 == 0 else 'odd'}" for i, (a, b) in enumerate(pairs)]
    Path("sums.csv.gz").write_bytes(gzip.compress("\n".join(["number,line,kind", *lines]).encode()))
    descriptions = Path(sklearn.datasets.__file__).parent / "descr"
    shutil.copytree(descriptions, "manuals", ignore=lambda folder, names: [n for n in names if n[-4:] != ".rst"])
    texts = [path.read_text() for path in sorted(Path("manuals").iterdir())]
    Tokenizer.train(texts, 400).save(Path("models/mine/tokenizer.json"))
    return tmp_path


def test_every_command_is_run():
    assert COMMANDS.keys() == {"strings", "prose", "pretrained"}
    assert sum(map(len, COMMANDS.values())) == PAGE.count("\nladd new ")


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_write_suites_that_are_valid(root, name, capsys):
    for command in COMMANDS[name]:
        tool, *arguments = shlex.split(command)
        assert tool == "ladd"
        assert main(arguments) == 0, capsys.readouterr().err
        folder = root / "suites" / arguments[1]
        suite = load_suite(folder / "params.yaml")
        assert {"mdlm", "ar", "di-seq"} == suite.sweeps.keys()
        assert len((folder / "params.yaml").read_text().splitlines()) <= 25
    out = capsys.readouterr().out
    if name == "strings":  # the page shows what it prints
        shown = re.findall(r"^    (field: .*|--task .*|N = .*|trainings: .*)$", PAGE, re.MULTILINE)
        assert len(shown) == 4
        assert [line for line in shown if line not in out.splitlines()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["strings", "prose"])
def test_a_suite_runs_to_its_table(root, name, monkeypatch):
    """With a few steps of training, in the process of the test."""
    arguments = shlex.split(COMMANDS[name][0])[1:]
    assert main(arguments) == 0
    folder = root / "suites" / arguments[1]
    values = read_values(folder)
    for block in ("latents", "baselines", "models"):
        for entry in values[block].values():
            entry["training"] |= {"steps": 60, "validate_every": 30, "checkpoint_every": 30}
    (folder / "params.yaml").write_text(write_yaml(values))
    copy_dvc(root)
    begin(root, folder)
    monkeypatch.chdir(folder)
    run_all()
    table = Path("results/compare.txt").read_text()
    assert "trigrams" in table
    for row in ("mdlm", "di-seq", f"real-{arguments[1]}"):
        assert row in table
