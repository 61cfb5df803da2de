"""The plan: what each edit changes in it, and a stage on a plan that is not that of the suite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ladd.config import check_suite
from ladd.errors import PlanError
from ladd.stages import planned
from ladd.stages.code import Code
from ladd.stages.declaration import read_declaration
from ladd.stages.plan import PLAN, main, read_plan, renew_plan
from ladd.stages.planned import make_plan
from ladd.stages.runtime import execute
from tests.builders import text_suite_values
from tests.stages.tiny import REPOSITORY, copy_code, tiny_values, write_params

SWEEPS = set(text_suite_values()["sweeps"])
MODELS = {key for block in ("baselines", "models") for key in text_suite_values()[block]}
OF = {
    model: {key for key, each in text_suite_values()["sweeps"].items() if each["model"] == model}
    for model in ("di", "co")
}


def stages(name: str, keys: set[str]) -> set[str]:
    return {f"{name}@{key}" for key in keys}


def measured(keys: set[str]) -> set[str]:
    return stages("sample", keys) | stages("measure", keys) | {"compare"}


def put(path: str, value: object) -> Callable[[dict, Path], None]:
    """An edit of a setting."""

    def edit(values: dict, root: Path) -> None:
        *places, last = path.split(".")
        for place in places:
            values = values[place]
        values[last] = value

    return edit


def code(path: str, old: str, new: str) -> Callable[[dict, Path], None]:
    """An edit of a source file; "" makes one."""

    def edit(values: dict, root: Path) -> None:
        text = (root / path).read_text() if old else ""
        assert old in text
        (root / path).write_text(text.replace(old, new, 1) if old else new)

    return edit


def rename(values: dict, root: Path) -> None:
    values["sweeps"] = {key.replace("co-joint", "together"): sweep for key, sweep in values["sweeps"].items()}


def add_corpus(values: dict, root: Path) -> None:
    corpora = values["data"]["text"]["zero_shot"]
    corpora["more"] = corpora["articles"]


EVERY_MEASURE = stages("measure", SWEEPS) | {"reference@text"}
# What was edited, and the entries that are others then. What DVC runs besides reads an output that is another one.
EDITS = {
    "comment in a loss": (code("ladd/systems/channels.py", "\n", "\n# a comment\n"), set()),
    "new sampler": (code("ladd/samplers/more.py", "", "def more(): ...\n"), set()),
    "new zero-shot corpus": (add_corpus, {"data@text", "reference@text", "compare"}),
    "workers": (put("run.workers", 7), set()),
    "K": (put("codebooks.codes.codebook", 4), {"codebook@codes", "stage2@di", "bound@di"} | measured(OF["di"])),
    "temperature": (put("sweeps.co-seq.temperature", 0.5), measured({"co-seq"})),
    "version of a metric": (
        code("ladd/metrics/mauve.py", 'version = "', 'version = "other-'),
        EVERY_MEASURE | {"compare"},
    ),
    "title of a metric": (code("ladd/metrics/mauve.py", 'title = "', 'title = "other '), {"compare"}),
    "label and colour of a system": (
        code("ladd/systems/mdlm.py", '= "MDLM", "#D55E00"', '= "Other", "#000000"'),
        {"compare"},
    ),
    "label of a reference": (code("ladd/tasks/text/__init__.py", '"Bigram"', '"Other"'), {"compare"}),
    "version of the bounds": (
        code("ladd/evaluation/__init__.py", "= ", "= 'other' or "),
        EVERY_MEASURE | stages("bound", MODELS) | {"compare"},
    ),
    "new metric": (code("ladd/metrics/more.py", "", "def more(): ...\n"), set()),
    "width of the prior": (
        put("priors.chunks.network.width", 16),
        {"prior@chunks"} | measured({"co-seq"}),
    ),
    "batch of sampling": (put("run.batch", 3), set()),
    "key": (rename, measured({"together"})),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    copy_code(folder)
    return folder


def entries(values: dict, root: Path) -> dict[str, dict]:
    plan = make_plan(check_suite(values, "suite"), Code(root))
    return {f"{name}@{key}".removesuffix("@all"): entry for name, keys in plan.items() for key, entry in keys.items()}


@pytest.mark.parametrize("name", EDITS)
def test_edit_changes_these_entries_and_no_others(root, tmp_path, name):
    edit, expected = EDITS[name]
    copy = shutil.copytree(root, tmp_path / "copy")
    values = text_suite_values()
    before = entries(values, copy)
    edit(values, copy)
    after = entries(values, copy)
    changed = {stage for stage, entry in after.items() if before.get(stage) != entry}
    assert changed == expected


def test_value_that_is_put_back_gives_the_same_plan(root):
    values = text_suite_values()
    before = entries(values, root)
    put("codebooks.codes.codebook", 4)(values, root)
    assert entries(values, root) != before
    put("codebooks.codes.codebook", 8)(values, root)
    assert entries(values, root) == before


def change(**training) -> None:
    values = tiny_values() | {"root": "../.."}
    values["baselines"]["mdlm"]["training"] |= training
    write_params(Path(), values)


def test_stage_that_dvc_starts_on_another_plan_says_so_and_ends(suite, monkeypatch):
    execute("data", "sawtooth", lambda stage: None)
    change(learning_rate=0.5)
    monkeypatch.setenv("DVC_STAGE", "data@sawtooth")
    execute("data", "sawtooth", lambda stage: None)  # its own entry is as it was
    (suite / PLAN).write_text("{}")
    with pytest.raises(PlanError, match=r"data@sawtooth: plan\.json is not that of.*run `dvc repro plan`"):
        execute("data", "sawtooth", lambda stage: pytest.fail("it ran"))


def test_stage_that_is_started_by_hand_renews_the_plan(suite):
    change(learning_rate=0.5)
    execute("data", "sawtooth", lambda stage: None)
    plan = read_plan()
    assert plan is not None
    assert plan["baseline"]["mdlm"]["training"]["learning_rate"] == 0.5
    assert plan["baseline"]["mdlm"] == read_declaration("baseline", "mdlm").entry


def test_dvc_is_told_to_start_again_where_stages_or_paths_are_others(suite, monkeypatch):
    values = tiny_values() | {"root": "../.."}
    monkeypatch.setenv("DVC_STAGE", "plan")
    main()  # nothing is another
    change(learning_rate=0.5)
    main()  # nor is any stage
    for edit in (
        lambda: values["baselines"].update(more=values["baselines"]["mdlm"]),
        lambda: values["sweeps"]["mdlm"].update(model="more"),
    ):
        edit()
        write_params(Path(), values)
        with pytest.raises(SystemExit, match=r"plan\.json.*run the same command again"):
            main()
        main()


def test_plan_is_written_where_it_is_another_one_and_not_else(suite):
    before = (suite / PLAN).stat().st_mtime_ns
    assert not renew_plan()
    assert (suite / PLAN).stat().st_mtime_ns == before
    (suite / PLAN).unlink()
    assert not renew_plan()
    assert (suite / PLAN).is_file()


@pytest.mark.parametrize("name", ["params.yaml", "plan.json", "../../ladd/diffusion/masked.py", "own.py", "below.yaml"])
def test_plan_is_made_again_where_a_file_that_it_reads_was_touched_and_not_else(suite, monkeypatch, name):
    Path("below.yaml").write_text(Path("params.yaml").read_text())
    Path("params.yaml").write_text("extends: below.yaml\n")
    renew_plan()
    made: list[object] = []
    monkeypatch.setattr(planned, "make_plan", lambda *arguments: made.append(arguments) or make_plan(*arguments))
    renew_plan()
    assert made == []
    Path(name).touch()
    renew_plan()
    assert len(made) == 1
    renew_plan()
    assert len(made) == 1


def test_known_plan_is_found_without_torch_and_without_the_settings():
    command = [sys.executable, "-X", "importtime", "-m", "ladd.stages.plan"]
    renew_plan(REPOSITORY)
    imported = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True).stderr
    assert "ladd.stages.code" in imported
    assert [name for name in ("torch", "pydantic", "ladd.config") if f" {name}\n" in imported] == []
