"""An edit while a stage runs: the stage ends with an error that names it, and nothing is recorded."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from ladd.errors import ArtifactError, ChangedError
from ladd.stages import baseline
from ladd.stages.declaration import read_declaration
from ladd.stages.runtime import Stage, execute
from ladd.stages.tracked import stage_run
from ladd.stages.train import Training, train_stage
from ladd.training.loop import Trainer
from tests.stages.tiny import run_here, tiny_values, write_params

ROOT = Path("../..")
CODE = ROOT / "ladd/diffusion/masked.py"
OUTPUT = Path("artifacts/models/mdlm")
HISTORY = Path("results/history/baseline-mdlm.csv")


@pytest.fixture
def prepared(suite) -> Path:
    """A tiny suite with its data."""
    run_here("data", "sawtooth")
    return suite


def settings(**training) -> None:
    """Write params.yaml with other settings of the training of mdlm."""
    values = tiny_values() | {"root": "../.."}
    values["baselines"]["mdlm"]["training"] |= training
    write_params(Path(), values)


def edit(path: Path, old: str = "\n", new: str = "\nEDITED = True\n") -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def nothing() -> None:
    pass


def write(stage: Stage, before: Callable[[], None] = nothing, after: Callable[[], None] = nothing) -> None:
    """A stage that trains nothing, with something that happens before its output is there, or after it."""
    with stage.output(OUTPUT) as folder:
        (folder / "weights.safetensors").write_text("weights")
        before()
    HISTORY.parent.mkdir(parents=True, exist_ok=True)
    HISTORY.write_text("step\n")
    after()


# What happens, and what the error must name.
EDITS = {
    "parameters": (
        lambda: settings(learning_rate=0.5, weight_decay=0.25),
        ["training.learning_rate: ", " -> 0.5"],
    ),
    "code": (lambda: edit(CODE), ["../../ladd/diffusion/masked.py: edited"]),
    "code that is gone": (lambda: CODE.unlink(), ["../../ladd/diffusion/masked.py"]),
    "code that is none": (lambda: CODE.write_text("def"), ["../../ladd/diffusion/masked.py: "]),
    "command": (
        lambda: edit(Path("dvc.yaml"), "python -m ladd.stages.baseline", "python -O -m x"),
        ["command: python -m"],
    ),
    "input": (
        lambda: edit(Path("artifacts/data/sawtooth/manifest.json"), "train/00000", "train/00001"),
        ["artifacts/data/sawtooth/train: edited"],
    ),
    "no key any more": (lambda: edit(Path("params.yaml"), "  mdlm:", "  mdlm-2:"), ["'mdlm' is not defined"]),
    "half of a file": (lambda: Path("params.yaml").write_text("seed: [1"), ["params.yaml is not YAML, line "]),
    "empty file": (lambda: Path("params.yaml").write_text(""), ["params.yaml is empty"]),
    "block that is none": (
        lambda: write_params(Path(), tiny_values() | {"root": "../..", "baselines": 5}),
        ["baselines: 5: "],
    ),
    "no file": (lambda: Path("params.yaml").unlink(), ["params.yaml"]),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", EDITS)
def test_edit_is_named_and_leaves_no_output(prepared, name, when):
    happens, named = EDITS[name]
    execute("baseline", "mdlm", write)
    with pytest.raises(ChangedError) as caught:
        execute("baseline", "mdlm", lambda stage: write(stage, **{when: happens}))
    message = str(caught.value)
    assert message.startswith("baseline@mdlm: what it depends on was edited while it ran:\n  ")
    assert [text for text in named if text not in message] == []
    assert [path for path in (OUTPUT, HISTORY) if path.exists()] == []
    assert list(OUTPUT.parent.iterdir()) == []


def test_every_parameter_that_was_edited_is_named_and_no_other(prepared):
    with pytest.raises(ChangedError) as caught:
        execute("baseline", "mdlm", lambda stage: write(stage, before=EDITS["parameters"][0]))
    lines = [line.strip().split(": ")[0] for line in str(caught.value).splitlines()[1:-1]]
    assert lines == ["training.learning_rate", "training.weight_decay"]


def others() -> None:
    """Edits of what the stage does not depend on, and new times of what it does."""
    values = tiny_values() | {"root": "../.."}
    values["baselines"]["ar"]["training"]["learning_rate"] = 0.5
    values["evaluation"]["directions"] += 1
    write_params(Path(), values)
    values["run"]["batch"] += 1
    write_params(Path(), values)
    edit(ROOT / "ladd/report/page.py")
    edit(ROOT / "ladd/tracking/run.py")
    edit(CODE, "\n", "\n# a comment\n")
    CODE.with_name("more.py").write_text("MORE = 1\n")
    edit(Path("dvc.yaml"), "python -m ladd.stages.data", "python -O -m ladd.stages.data")
    for path in (CODE, Path("artifacts/data/sawtooth/manifest.json")):
        path.touch()
    (CODE.parent / "__pycache__").mkdir(exist_ok=True)
    (CODE.parent / "__pycache__/masked.pyc").write_text("compiled")
    CODE.with_name(".masked.py.swp").write_text("of an editor")


def test_edit_of_something_else_goes_unnoticed(prepared):
    execute("baseline", "mdlm", lambda stage: write(stage, before=others))
    assert OUTPUT.exists()
    assert HISTORY.exists()


def test_edit_that_is_undone_in_time_goes_unnoticed(prepared):
    text = CODE.read_text()

    def there_and_back() -> None:
        edit(CODE)
        CODE.write_text(text)

    execute("baseline", "mdlm", lambda stage: write(stage, before=there_and_back))
    assert OUTPUT.exists()


def test_edit_between_the_reads_of_the_beginning_shows_at_the_end(prepared, monkeypatch):
    """params.yaml is read as a declaration first and as a suite later."""
    from ladd.stages import runtime

    read, seen = runtime.load_suite, []

    def load():
        if seen:
            settings(learning_rate=0.5)
        seen.append(read())
        return seen[-1]

    monkeypatch.setattr(runtime, "load_suite", load)
    with pytest.raises(ChangedError, match="learning_rate"):
        execute("baseline", "mdlm", write)
    assert seen[-1].baselines["mdlm"].training.learning_rate == 0.5


def test_run_is_not_opened_after_an_edit(prepared):
    def filed(stage: Stage) -> None:
        settings(learning_rate=0.5)
        stage_run(stage)

    with pytest.raises(ChangedError):
        execute("baseline", "mdlm", filed)
    assert not (ROOT / ".mlflow").exists()


def edited_training(stage: Stage) -> Training:
    """That of the stage, with an edit when its last step is done."""
    training = baseline.training(stage)

    def finish(model, folder: Path) -> None:
        settings(learning_rate=0.5)
        edit(CODE)
        training.finish(model, folder)

    return replace(training, finish=finish)


def test_training_goes_on_at_its_end_when_the_edit_is_put_back(prepared, monkeypatch):
    code = CODE.read_text()
    with pytest.raises(ChangedError) as caught:
        execute("baseline", "mdlm", lambda stage: train_stage(stage, edited_training))
    assert "training.learning_rate: " in str(caught.value)
    assert "ladd/diffusion/masked.py: edited" in str(caught.value)
    assert not OUTPUT.exists()
    assert runs() == ["FAILED"]

    CODE.write_text(code)
    settings()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", lambda *_: pytest.fail("it trained again"))
        run_here("baseline", "mdlm")
    assert runs() == ["FINISHED"]
    assert not [path for path in Path(".work").iterdir() if path.is_dir()]

    weights = (OUTPUT / "weights.safetensors").read_bytes()
    shutil.rmtree(OUTPUT)
    run_here("baseline", "mdlm")  # without an edit, from the beginning
    assert (OUTPUT / "weights.safetensors").read_bytes() == weights


def test_killed_training_goes_on_bit_by_bit_after_a_docstring_of_its_loss_was_edited(prepared, monkeypatch):
    run_here("baseline", "mdlm")
    weights = (OUTPUT / "weights.safetensors").read_bytes()
    shutil.rmtree(OUTPUT)
    train_step, steps = Trainer.train_step, []

    class Kill(BaseException):
        """As a signal, it is no error that a stage handles."""

    def killed(trainer: Trainer) -> None:
        if trainer.step == 8:
            raise Kill
        train_step(trainer)

    def counted(trainer: Trainer) -> None:
        steps.append(trainer.step)
        train_step(trainer)

    monkeypatch.setattr(Trainer, "train_step", killed)
    with pytest.raises(Kill):
        run_here("baseline", "mdlm")
    text = CODE.read_text()
    assert text.startswith('"""')
    CODE.write_text(text.replace('"""', '"""Edited. ', 1) + "\n# and more\n")
    monkeypatch.setattr(Trainer, "train_step", counted)
    run_here("baseline", "mdlm")
    assert steps == list(range(6, 12))  # from the checkpoint of step 6
    assert (OUTPUT / "weights.safetensors").read_bytes() == weights


def runs() -> list[str]:
    client = MlflowClient(tracking_uri=f"sqlite:///{ROOT.resolve()}/.mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    found = client.search_runs([experiment.experiment_id], "tags.`dvc.stage` = 'baseline@mdlm'")
    return [run.info.status for run in found]


def test_code_that_was_edited_while_it_was_imported_is_named(prepared):
    started = time.time()
    past, future = started - 10, started + 3600
    os.utime(CODE, (past, past))
    os.utime(CODE.with_name("uniform.py"), (future, future))
    declaration = read_declaration("baseline", "mdlm")
    for path in map(Path, declaration.code):
        if path.stat().st_mtime < future:
            os.utime(path, (past, past))
    declaration.check_code(started)
    os.utime(CODE, (started + 1e-3, started + 1e-3))
    time.sleep(2e-3)
    with pytest.raises(
        ChangedError, match=r"edited while it started: \.\./\.\./ladd/diffusion/masked\.py; run it again"
    ):
        declaration.check_code(started)


def test_damaged_input_ends_a_stage_before_it_begins(prepared):
    shard = Path("artifacts/data/sawtooth/validation/00000.arrow")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{shard} has sha256"):
        execute("baseline", "mdlm", lambda stage: pytest.fail("it ran"))
    assert not (Path(".work") / "baseline@mdlm").exists()
