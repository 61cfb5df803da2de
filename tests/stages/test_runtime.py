"""Locks, exit codes, resume state, and outputs that appear whole or not at all."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from ladd.errors import BusyError, StorageError, TrainingError
from ladd.files import RESERVE, file_hash
from ladd.stages.runtime import EXIT_TEMPORARY, KEPT_STATES, Stage, execute, run_stage, stage_lock
from tests.stages.tiny import OWN_SYSTEM, REPOSITORY, environment, stage_command, tiny_values, write_params

OUTPUT = Path("artifacts/data/sawtooth")


def write(stage: Stage, text: str = "new") -> None:
    with stage.output(OUTPUT) as folder:
        (folder / "train.npy").write_text(text)


def work_folders() -> list[Path]:
    return sorted(path for path in Path(".work").iterdir() if path.is_dir())


def listing(folder: Path) -> dict[Path, str]:
    return {path: file_hash(path) for path in folder.rglob("*") if path.is_file()}


def run_process(name: str, *keys: str) -> subprocess.CompletedProcess:
    values = environment() | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(stage_command(name, *keys), env=values, capture_output=True, text=True)


def test_second_holder_of_a_lock_is_told_who_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    second = stage_lock("data@sawtooth")
    with stage_lock("data@sawtooth"), stage_lock("data@other"), pytest.raises(BusyError) as caught:
        second.__enter__()
    assert f"data@sawtooth is already running (process {os.getpid()})" in str(caught.value)


def test_lock_is_free_again_after_an_exception(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="first"), stage_lock("data@sawtooth"):
        raise ValueError("first")
    with stage_lock("data@sawtooth"):
        pass


def test_process_that_meets_a_lock_ends_with_its_own_exit_code(suite):
    with stage_lock("data@sawtooth"):
        process = run_process("data", "sawtooth")
    assert process.returncode == EXIT_TEMPORARY == 75
    assert f"(process {os.getpid()})" in process.stderr
    assert "Traceback" not in process.stderr
    assert not OUTPUT.exists()


def test_error_of_ours_ends_the_process_with_its_message_and_no_traceback(suite):
    process = run_process("stage1", "di")
    assert process.returncode == 1
    assert process.stderr.strip() == "artifacts/data/sawtooth/train is missing; run `dvc repro` to make it"


def test_other_exceptions_pass_through(suite, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["data", "sawtooth"])

    def broken(stage):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stage("data", broken)


@pytest.mark.parametrize(("keyed", "arguments"), [(True, []), (True, ["a", "b"]), (False, ["a"])])
def test_wrong_number_of_arguments_shows_the_usage(monkeypatch, keyed, arguments):
    monkeypatch.setattr(sys, "argv", ["stage", *arguments])
    with pytest.raises(SystemExit) as caught:
        run_stage("data", lambda stage: pytest.fail("it ran"), keyed=keyed)
    assert caught.value.code == "usage: python -m ladd.stages.data" + (" KEY" if keyed else "")


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"colour": "red"}, "sawtooth", "colour: unknown key"),
        ({"seed": "one"}, "sawtooth", "seed: 'one'"),
        ({}, "text", "data in params.yaml has no 'text'"),
    ],
)
def test_bad_parameters_end_before_anything_is_written(suite, monkeypatch, change, key, message):
    write_params(suite, tiny_values() | {"root": "../.."} | change)
    before = listing(suite)
    monkeypatch.setattr(sys, "argv", ["data", key])
    with pytest.raises(SystemExit) as caught:
        run_stage("data", lambda stage: pytest.fail("it ran"))
    assert message in str(caught.value.code)
    assert listing(suite) == before
    assert [path.name for path in Path(".work").iterdir()] == ["plan.json"]


def test_output_takes_the_place_of_the_old_one(suite):
    execute("data", "sawtooth", lambda stage: write(stage, "old"))
    (OUTPUT / "stale.npy").write_text("of an earlier version")
    execute("data", "sawtooth", write)
    assert {path.name for path in OUTPUT.iterdir()} == {"train.npy", "manifest.json"}
    assert (OUTPUT / "train.npy").read_text() == "new"
    assert [path.name for path in OUTPUT.parent.iterdir()] == ["sawtooth"]


def test_output_has_a_manifest_of_its_stage(suite):
    execute("data", "sawtooth", write)
    assert json.loads((OUTPUT / "manifest.json").read_text()) == {
        "stage": "data@sawtooth",
        "files": {"train.npy": file_hash(OUTPUT / "train.npy")},
    }


def test_exception_while_writing_leaves_the_old_output_untouched(suite):
    execute("data", "sawtooth", write)
    before = listing(OUTPUT)
    with pytest.raises(OSError, match="disk full"):
        execute("data", "sawtooth", partial(broken, "train.npy"))
    assert listing(OUTPUT) == before


def broken(name: str, stage) -> None:
    with stage.output(OUTPUT) as folder:
        (folder / name).write_text("half")
        raise OSError("disk full")


def test_rest_of_a_failed_attempt_does_not_enter_the_output(suite):
    with pytest.raises(OSError, match="disk full"):
        execute("data", "sawtooth", partial(broken, "half.npy"))
    execute("data", "sawtooth", write)
    assert not (OUTPUT / "half.npy").exists()


def test_what_a_kill_left_beside_an_output_is_removed_by_the_next_start_of_its_stage(suite):
    OUTPUT.parent.mkdir(parents=True)
    for name in (".sawtooth-0123abcd", ".other-0123abcd", ".gitignore"):
        (OUTPUT.parent / name).write_text("half")
    for name in (".sawtooth.partial", ".sawtooth.removed"):
        (OUTPUT.parent / name).mkdir()
    with stage_lock("data@sawtooth"), pytest.raises(BusyError):  # they may be those of the process that has the lock
        execute("data", "sawtooth", write)
    assert len(list(OUTPUT.parent.iterdir())) == 5
    execute("data", "sawtooth", write)
    assert {path.name for path in OUTPUT.parent.iterdir()} == {"sawtooth", ".other-0123abcd", ".gitignore"}


def message_of(monkeypatch, body) -> str:
    """What the stage data@sawtooth prints when it fails; it is one line."""
    monkeypatch.setattr(sys, "argv", ["data", "sawtooth"])
    with pytest.raises(SystemExit) as caught:
        run_stage("data", body)
    assert "\n" not in str(caught.value.code)
    return str(caught.value.code)


def test_output_that_cannot_be_written_ends_the_stage_before_its_work(suite, monkeypatch):
    Path("artifacts").symlink_to("/sys/kernel")  # not even root may write there
    message = message_of(monkeypatch, lambda stage: pytest.fail("it ran"))
    assert message.startswith("artifacts/data: ")


def test_full_disk_is_one_line_and_takes_no_space(suite, monkeypatch):
    def body(stage):
        (stage.work / "step-1").mkdir()
        with stage.output(OUTPUT) as folder:
            (folder / "train.npy").write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert message_of(monkeypatch, body).startswith(f"{OUTPUT}: No space left on device; free some space")
    assert list(OUTPUT.parent.iterdir()) == []
    assert [path.name for path in Path(".work/data@sawtooth").glob("*/*")] == ["step-1"]


def test_stage_that_leaves_no_space_for_the_records_of_dvc_fails_and_goes_on_later(suite, monkeypatch):
    def body(stage):
        (stage.work / "step-1").mkdir()
        write(stage)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 1 << 40, RESERVE - 1))

    with pytest.raises(StorageError, match="free some space"):
        execute("data", "sawtooth", body)
    assert [path.name for path in Path(".work/data@sawtooth").glob("*/*")] == ["step-1"]


def test_resume_state_is_kept_after_a_failure_and_found_again(suite):
    def interrupted(stage):
        (stage.work / "step-1").mkdir()
        raise TrainingError("loss is nan")

    with pytest.raises(TrainingError):
        execute("data", "sawtooth", interrupted)
    seen = []
    execute("data", "sawtooth", lambda stage: seen.extend(path.name for path in stage.work.iterdir()))
    assert seen == ["step-1"]


def other_seed(suite: Path, seed: int) -> None:
    write_params(suite, tiny_values() | {"root": "../..", "seed": seed})


def states() -> list[Path]:
    return sorted(Path(".work/data@sawtooth").iterdir())


def interrupted(stage: Stage) -> None:
    (stage.work / "step-1").mkdir()
    os.utime(stage.work, ns=(stage.suite.seed, stage.suite.seed))
    raise TrainingError("loss is nan")


def test_resume_state_of_other_parameters_is_not_seen_and_stays(suite):
    other_seed(suite, 6)
    with pytest.raises(TrainingError):
        execute("data", "sawtooth", interrupted)
    [state] = states()
    other_seed(suite, 7)
    execute("data", "sawtooth", lambda stage: stage.work.rmdir())  # fails unless empty
    assert states() == [state]
    other_seed(suite, 6)
    seen = []
    execute("data", "sawtooth", lambda stage: seen.extend(path.name for path in stage.work.iterdir()))
    assert seen == ["step-1"]
    assert work_folders() == []


def test_resume_states_of_the_settings_tried_last_are_kept_and_no_more(suite):
    made = []
    for seed in range(1, KEPT_STATES + 2):
        other_seed(suite, seed)
        with pytest.raises(TrainingError):
            execute("data", "sawtooth", interrupted)
        made += [path for path in states() if path not in made]
    (made[0].parent / ".half.removed").mkdir()
    other_seed(suite, 9)
    execute("data", "sawtooth", lambda stage: None)
    assert states() == sorted(made[1:])


def test_resume_state_is_removed_when_a_stage_ends_well(suite):
    execute("data", "sawtooth", lambda stage: (stage.work / "step-1").mkdir())
    assert work_folders() == []


def test_another_process_reads_a_stage_of_a_suite_with_a_system_of_its_own(suite):
    """As Ray's workers do. Settings are those that the stage started with."""
    values = tiny_values() | {"root": "../..", "seed": 6}
    values["baselines"]["mdlm"]["family"] = "own"
    Path("own.py").write_text(OWN_SYSTEM)
    write_params(suite, values)
    execute("data", "sawtooth", lambda stage: Path("stage.pickle").write_bytes(pickle.dumps(stage)))
    other_seed(suite, 7)
    code = "import pickle; suite = pickle.load(open('stage.pickle', 'rb')).suite; "
    code += "print(suite.seed, type(suite.baselines['mdlm']).__name__)"
    settings = environment() | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True)
    assert process.stdout == "6 OwnSettings\n", process.stderr
