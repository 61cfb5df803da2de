"""The code of a stage: what its modules import by name, and a hash that only what runs changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ladd.errors import ConfigError
from ladd.registry import discover
from ladd.stages.code import LEFT_OUT, Code, module_of, read_module
from ladd.stages.planned import PLANNED

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = {
    "ladd/__init__.py": '"""Package."""\n',
    "ladd/stage.py": "from ladd.parts import one\nfrom ladd.parts.three import three\nimport torch\n",
    "ladd/parts/__init__.py": """from ladd.parts.one import one
from ladd.parts.two import two
__all__ = ["one", "two"]
""",
    "ladd/parts/one.py": "def one(x):\n    from ladd.parts.deep import deep\n    return deep(x)\n",
    "ladd/parts/two.py": "def two(x):\n    return x\n",
    "ladd/parts/three.py": "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from ladd.parts.two import two\nthree = 3\n",
    "ladd/parts/deep.py": "from ladd.lock import exclusive\ndeep = abs\n",
    "ladd/lock.py": "from ladd.parts.two import two\n",
    "suite/mine.py": "from ladd.parts.two import two\n",
}


@pytest.fixture
def code(tmp_path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_names_are_followed_to_the_modules_that_define_them_and_what_is_left_out_is_not(code):
    files = Code(code).files(["ladd.stage"])
    assert set(files) == {"ladd/stage.py", *(f"ladd/parts/{name}.py" for name in ("one", "three", "deep"))}
    assert "ladd/lock.py" in Code(code).files(["ladd.stage"], besides=["ladd/lock.py"])


def test_module_of_a_suite_counts_with_what_it_imports(code):
    (code / "suite/other.py").write_text("other = 1\n")
    (code / "suite/mine.py").write_text(FILES["suite/mine.py"] + "from .other import other\n")
    assert set(Code(code, code / "suite").files(["mine"])) == {"mine.py", "other.py", "ladd/parts/two.py"}
    with pytest.raises(ConfigError, match="no module mine"):
        Code(code).files(["mine"])


def test_what_is_registered_leads_to_its_module(code, monkeypatch):
    (code / "suite/mine.py").unlink()
    (code / "suite/params.yaml").write_text("")
    (code / "suite/one_more.py").write_text("class One(RuntimeError):\n    name = 'one'\n")
    monkeypatch.chdir(code / "suite")
    found = discover("ladd.config", RuntimeError)["one"]
    assert set(Code(code, code / "suite").files([module_of(found)])) == {"one_more.py"}
    assert module_of(Code) == module_of(Code(code)) == "ladd.stages.code"


@pytest.mark.parametrize(
    ("file", "old", "new", "moves"),
    [
        ("ladd/parts/one.py", "def one(x):\n", 'def one(x):  # a comment\n    """A docstring."""\n\n', False),
        ("ladd/parts/one.py", "deep(x)", "deep(\n        x\n    )", False),
        ("ladd/parts/one.py", "deep(x)", "deep(-x)", True),
        ("ladd/parts/deep.py", "abs", "round", True),
        ("ladd/parts/two.py", "return x", "return -x", False),
        ("ladd/parts/__init__.py", '__all__ = ["one", "two"]', '__all__ = ["one"]', False),
        ("ladd/parts/__init__.py", "from ladd.parts.two import two\n", "", False),
        ("ladd/parts/__init__.py", "__all__", "import torch\nnames", True),
        ("ladd/lock.py", "import two\n", "import two\nlock = 1\n", False),
    ],
)
def test_hash_follows_what_runs(code, file, old, new, moves):
    before = Code(code).digest(["ladd.stage"])
    assert old in FILES[file]
    (code / file).write_text(FILES[file].replace(old, new))
    assert (Code(code).digest(["ladd.stage"]) != before) == moves


def test_template_beside_a_module_counts(code):
    before = Code(code).digest(["ladd.stage"])
    template = next(code / file for file in Code(code).files(["ladd.stage"])).with_name("page.html.j2")
    template.write_text("<p>one</p>")
    after = Code(code).digest(["ladd.stage"])
    template.write_text("<p>two</p>")
    assert len({before, after, Code(code).digest(["ladd.stage"])}) == 3


def test_new_file_beside_changes_nothing(code):
    before = Code(code).digest(["ladd.stage"])
    (code / "ladd/parts/four.py").write_text("four = 4\n")
    assert Code(code).digest(["ladd.stage"]) == before


@pytest.mark.parametrize("text", ["from . import two\n", "from ladd.parts import *\n", "def\n"])
def test_what_cannot_be_followed_is_refused_with_its_file(code, text):
    (code / "ladd/parts/one.py").write_text(text)
    with pytest.raises(ConfigError, match=r"ladd/parts/one\.py"):
        read_module(code, "ladd/parts/one.py")


def test_what_is_left_out_is_there_and_makes_no_number():
    assert [key for key in LEFT_OUT if not (REPOSITORY / key).exists()] == []
    assert all(len(reason) > 7 for reason in LEFT_OUT.values())
    makers = ("networks", "latents", "training", "evaluation", "text", "data")
    assert [key for key in LEFT_OUT if key.startswith(tuple(f"ladd/{name}" for name in makers))] == []


@pytest.mark.parametrize("stage", PLANNED)
def test_stage_has_code_of_its_own_and_none_that_is_left_out(stage):
    files = Code(REPOSITORY).files([f"ladd.stages.{stage}"], besides=PLANNED[stage].besides)
    assert f"ladd/stages/{stage}.py" in files
    out = tuple(key for key in LEFT_OUT if key not in PLANNED[stage].besides)
    assert [file for file in files if file.startswith(out)] == []
