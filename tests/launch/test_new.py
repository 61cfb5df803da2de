"""`ladd new`: a suite that runs, from files to its folder, or nothing at all."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ladd.cli import main
from ladd.config import load_suite
from ladd.errors import ConfigError
from ladd.launch.new import Request, new_suite
from ladd.stages.declaration import read_declaration
from ladd.stages.planned import stages_in_order
from ladd.tasks.text.tokenizer import Tokenizer
from tests.tasks.text.builders import SENTENCES

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = [".dvc", ".dvcignore", "dvc.yaml", "params.yaml", "plan.json"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with the package and no suites; also the working directory."""
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("ladd", "dvc.yaml", ".dvc", ".dvcignore"):
        (root / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(root)
    return root


def sums(count: int = 400) -> list[str]:
    generator = random.Random(0)
    return [f"{a}+{b}={a + b}" for a, b in ((generator.randrange(99), generator.randrange(99)) for _ in range(count))]


def speech(paragraphs: int = 1200) -> str:
    """Paragraphs of words that repeat."""
    generator = random.Random(0)
    words = " ".join(SENTENCES).split()
    return "\n\n".join(" ".join(generator.choices(words, k=30)) for _ in range(paragraphs))


def left(root: Path) -> list[str]:
    """What is there besides the package."""
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and "ladd/" not in str(path)
    )


def test_table_becomes_a_suite_of_rows(root):
    lines = ["number,line,kind", *(f"{i},{line},sum" for i, line in enumerate(sums()))]
    Path("sums.csv").write_text("\n".join(lines))
    written = new_suite(root, Request("sums", "sums.csv"))
    assert sorted(path.name for path in written.folder.iterdir()) == FILES
    assert "dir = ../../../.dvc/cache" in (written.folder / ".dvc/config").read_text()
    suite = load_suite(written.folder / "params.yaml")
    config = suite.data["sums"]
    assert (config.tokens, config.train.field, config.train.asset.name) == (10, "line", "sums.csv")
    assert config.vocabulary == len("0123456789+=") + 2
    assert suite.evaluation.reference.samples == 20  # a fifth of 400 for two seeds, compared and floor
    assert any(note.startswith("field: line (guessed); others: kind, number (no text)") for note in written.notes)
    assert len((written.folder / "params.yaml").read_text().splitlines()) <= 25
    for stage, key in stages_in_order(vars(suite)):
        assert read_declaration(stage, key, written.folder).name  # the plan has every stage
    assert not list((root / ".work").iterdir())


def test_one_file_of_prose_is_cut_and_packed(root, tmp_path):
    Path("book.txt").write_text(speech())
    written = new_suite(root, Request("book", "book.txt", minutes=0.5))
    config = load_suite(written.folder / "params.yaml").data["book"]
    assert (config.cut, config.tokens, config.tokenizer.kind) == ("paragraphs", 64, "bpe")
    assert 258 < config.vocabulary <= 512
    assert "cut: paragraphs, as there are 1 documents alone" in written.notes


def test_characters_and_pretrained_tokenizers(root):
    Path("names.txt").write_text("\n".join(sums()))
    Path("model").mkdir()
    Tokenizer.train(SENTENCES * 3, 300).save(Path("model/tokenizer.json"))
    for name, wanted, vocabulary in (("a", "character", 14), ("b", "model", 300), ("c", "model/tokenizer.json", 300)):
        written = new_suite(root, Request(name, "names.txt", tokenizer=wanted))
        config = load_suite(written.folder / "params.yaml").data[name]
        assert config.vocabulary == vocabulary
        assert config.train.format == "lines"


def test_a_suite_that_is_there_is_never_changed(root):
    Path("names.txt").write_text("\n".join(sums()))
    (root / "suites/mine").mkdir(parents=True)
    (root / "suites/mine/params.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="suites/mine is there already; choose another name"):
        new_suite(root, Request("mine", "names.txt"))
    assert (root / "suites/mine/params.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "content", "message"),
    [
        ({"name": "a/b"}, "", "suite 'a/b': write letters"),
        ({"data": "nothing.txt"}, "", "'nothing.txt' is no file or folder here"),
        ({"data": "x" * 5000}, "", "--data: 'x+.* (cannot be looked for|is no file or folder)"),
        ({"field": "text"}, "\n".join(sums()), "has no fields; leave it out"),
        ({"tokenizer": "word"}, "\n".join(sums()), "--tokenizer: 'word' is neither bpe nor character"),
        ({}, "three\nlines\nalone", "too short: 3 strings, of which 20% are held out"),
        ({"layout": "text"}, "three\nlines\nalone", "too short: 1 documents, and fewer than 20 lines"),
        ({"layout": "text"}, "\n\n".join(sums(40)), "too short: .* blocks of 32 tokens"),
        ({"layout": "rows"}, "\n".join(speech(400).split("\n\n")), "a row has at most 128"),
        ({"data": ""}, "", "--data: '' names nothing"),
        ({"tokenizer": ""}, "\n".join(sums()), "--tokenizer: '' names nothing"),
        ({"tokenizer": "~nobody-here/x"}, "\n".join(sums()), "--tokenizer: '~nobody-here/x' cannot be looked for"),
        ({"tokenizer": "empty.json"}, "\n".join(sums()), "--tokenizer: empty.json has no tokens"),
        ({"tokenizer": "lonely.json"}, "\n".join(sums()), "--tokenizer: lonely.json: none of .* is among its tokens"),
        ({"tokenizer": "silent.json"}, "\n".join(sums()), "--tokenizer: it has no token for any character"),
        ({"encoding": "foo"}, "\n".join(sums()), "--encoding: 'foo' is no encoding of text; write .* such as utf-8"),
        ({"encoding": ""}, "\n".join(sums()), "--encoding: '' is no encoding"),
        ({"encoding": "rot13"}, "\n".join(sums()), "--encoding: 'rot13' is no encoding"),
        ({}, "hello", "too short: 1 string, of which 20% are held out; .* about 160.0 times as much"),
        ({}, "same\n" * 300, "every document is 'same', so what is held out would be what is trained on"),
        ({"layout": "text"}, speech(20) + "\n\n" + "ACGT" * 5001, "no space in 20,004 .* take --tokenizer character"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(root, options, content, message):
    Path("data.txt").write_text(content)
    Path("empty.json").write_text('{"model": {"type": "BPE", "vocab": {}, "merges": []}}')
    Path("lonely.json").write_text('{"model": {"type": "BPE", "vocab": {"x": 0}, "merges": []}}')
    Path("silent.json").write_text('{"model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "x": 2}, "merges": []}}')
    before = left(root)
    with pytest.raises(ConfigError, match=message):
        new_suite(root, Request(**{"name": "own", "data": "data.txt"} | options))
    assert left(root) == before
    assert not (root / "suites").exists() or not list((root / "suites").iterdir())


def test_a_crash_leaves_nothing(root, monkeypatch):
    Path("names.txt").write_text("\n".join(sums()))
    before = left(root)

    def fail(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr("ladd.launch.new.renew_plan", fail)
    with pytest.raises(KeyboardInterrupt):
        new_suite(root, Request("own", "names.txt"))
    assert left(root) == before


def test_command_says_what_it_took(root, capsys, monkeypatch):
    monkeypatch.setattr("ladd.launch.worktree.root_of", lambda folder: root)
    Path("names.txt").write_text("\n".join(sums()))
    assert main(["new", "sums", "--data", "names.txt", "--task", "rows", "--minutes", "0.2"]) == 0
    out = capsys.readouterr().out
    assert "--task rows\n" in out
    assert "N = 10" in out
    assert "cd suites/sums && dvc repro" in out
    assert main(["new", "sums", "--data", "names.txt"]) == 1
    assert "suites/sums is there already" in capsys.readouterr().err
