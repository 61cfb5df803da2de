"""What a run needs, what differs today, and the run again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from ladd.cli import main
from ladd.config import load_suite
from ladd.errors import ArtifactError, ConfigError
from ladd.runs.replay import INPUT, described, differences, hashes, replay, suite_folder
from ladd.stages.declaration import read_declaration
from ladd.stages.manifest import dvc_hash
from ladd.stages.tracked import open_run, tag_outputs
from ladd.tracking import LoggedRun, find_run
from tests.runs.fake import fake_values
from tests.stages.tiny import commit, git

STAGE = "measure@di-seq"


def run_of(stage: str = STAGE) -> str:
    """Track a stage as it stands in the working directory."""
    name, _, key = stage.partition("@")
    declaration = read_declaration(name, key)
    with open_run(load_suite(), declaration, declaration.fingerprint()) as run:
        tag_outputs(declaration, run)
    return run.run_id


@pytest.fixture
def root(suite) -> Path:
    return suite.parents[1]


@pytest.fixture
def logged(root) -> LoggedRun:
    return find_run(root, run_of())


def test_run_says_what_it_was(root, suite, logged, capsys):
    assert main(["replay", logged.id]) == 0
    text = capsys.readouterr().out
    assert f"{STAGE} of suite tiny, folder suites/tiny" in text
    assert f"{git(root, 'rev-parse', 'HEAD')}, the code as committed" in text
    assert "python -m ladd.stages.measure di-seq\n" in text
    assert f"input    artifacts/bounds/di {dvc_hash(Path('artifacts/bounds/di'))}\n" in text
    assert f"output   results/evaluate/di-seq.csv {dvc_hash(Path('results/evaluate/di-seq.csv'))}\n" in text
    assert "nothing differs today" in text
    assert f"params.yaml: that of {suite}/params.yaml today" in text


def test_what_differs_today_is_listed(root, suite, logged):
    values = fake_values()
    values["sweeps"]["di-seq"]["token_lag"] = 2.0
    values["models"]["co"]["token_weight"] = 3.0  # of another stage
    (suite / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    lock = yaml.safe_load((suite / "dvc.lock").read_text())
    [entry] = [entry for entry in lock["stages"][STAGE]["deps"] if entry["path"] == "artifacts/bounds/di"]
    before, entry["md5"] = entry["md5"], "0123.dir"
    (suite / "dvc.lock").write_text(yaml.safe_dump(lock))
    (root / "ladd/registry.py").write_text("# another one\n")
    commit(root)
    (root / "ladd/files.py").write_text("# not committed\n")
    assert differences(root, suite, logged) == [
        "code: 1 commit to ladd/ or dvc.yaml since",
        "code: 2 files differ from it: ladd/files.py, ladd/registry.py",
        "parameter token_lag: 1.0 then, 2.0 now",
        f"input artifacts/bounds/di: {before} then, 0123.dir now",
    ]
    text = described(root, logged)
    assert "what differs today:\n  code: 1 commit" in text
    assert "params.yaml of the run:\n  root: ../..\n" in text


def test_stage_that_is_gone_and_a_commit_that_is_gone_are_named(root, suite, logged):
    values = fake_values()
    del values["sweeps"]["di-seq"]
    (suite / "params.yaml").write_text(yaml.safe_dump(values))
    gone = logged._replace(tags={**logged.tags, "git.commit": "0" * 40, "ladd.versions": "torch=1.0"})
    code, parameters, library = differences(root, suite, gone)
    assert code == f"code: commit {'0' * 40} is not in this repository; fetch the branch that has it"
    assert parameters.startswith(f"parameters: {suite} has no {STAGE} of such settings today (sweeps has no 'di-seq'")
    assert library.startswith("library torch: 1.0 then, 2.")


def test_inputs_without_a_lock_are_not_known(root, suite, logged):
    (suite / "dvc.lock").unlink()
    lines = differences(root, suite, logged)
    assert len(lines) == len(hashes(logged, INPUT)) > 2
    assert all(line.endswith("then, not in dvc.lock now") for line in lines)


@pytest.mark.parametrize(("settings", "folder"), [("root: .", "."), ("root: ../..", "suites/tiny"), (None, ".")])
def test_folder_follows_from_the_root(logged, settings, folder):
    assert suite_folder(logged._replace(settings=settings)) == Path(folder)


def test_folder_elsewhere_is_an_error(logged):
    with pytest.raises(ConfigError, match=r"root is '\.\.'"):
        suite_folder(logged._replace(settings="root: .."))


class Pipeline:
    """Puts the outputs of the suite into the work tree, some of them changed, and remembers how it was called."""

    def __init__(self, source: Path, *changed: str):
        self.source, self.changed = source, changed

    def __call__(self, folder: Path, environment: Mapping[str, str], stage: str) -> None:
        self.folder, self.environment, self.stage = folder, environment, stage
        self.settings = (folder / "params.yaml").read_text()
        assert (folder / "dvc.yaml").is_file()
        for name in ("artifacts", "results"):
            shutil.copytree(self.source / name, folder / name, dirs_exist_ok=True)
        for name in self.changed:
            (folder / name).write_text("other bytes")


def test_equal_outputs_are_named_equal_and_the_work_tree_goes(root, suite, logged, capsys):
    (suite / "params.yaml").write_text("suite: another\n")
    pipeline = Pipeline(suite)
    replay(root, logged, pipeline)
    assert capsys.readouterr().out.splitlines() == [
        "artifacts/measured/di-seq: equal",
        "results/evaluate/di-seq.csv: equal",
        "results/evaluate/di-seq.json: equal",
        "results/samples/di-seq.json: equal",
    ]
    assert pipeline.stage == STAGE
    assert pipeline.settings == logged.settings
    assert pipeline.environment["LADD_LAUNCH"] == f"replay-{logged.id[:8]}"
    tree = root / ".work/trees" / f"replay-{logged.id[:8]}"
    assert pipeline.folder == tree / "suites/tiny"
    assert not tree.exists()


def test_different_output_is_an_error_and_the_work_tree_stays(root, suite, logged, capsys):
    pipeline = Pipeline(suite, "results/samples/di-seq.json", "results/evaluate/di-seq.csv")
    with pytest.raises(
        ArtifactError, match=r"gave other bytes: results/evaluate/di-seq.csv .*results/samples/di-seq.json"
    ):
        replay(root, logged, pipeline)
    assert capsys.readouterr().out.splitlines() == [
        "artifacts/measured/di-seq: equal",
        "results/evaluate/di-seq.csv: different",
        "results/evaluate/di-seq.json: equal",
        "results/samples/di-seq.json: different",
    ]
    assert pipeline.folder.is_dir()


def test_output_that_is_not_there_is_an_error(root, suite):
    logged = find_run(root, run_of("stage2@di"))
    shutil.rmtree(suite / "artifacts/models/di")
    with pytest.raises(ArtifactError, match=r"artifacts/models/di \(.* then, missing now\)"):
        replay(root, logged, Pipeline(suite))


def test_suite_that_was_never_committed_gets_its_folder(root, suite, logged):
    shutil.copy(suite / "dvc.yaml", root / "dvc.yaml")
    git(root, "rm", "-r", "--cached", "--quiet", "suites")
    (root / ".gitignore").write_text((root / ".gitignore").read_text() + "suites/\n")
    commit(root)
    uncommitted = logged._replace(tags={**logged.tags, "git.commit": git(root, "rev-parse", "HEAD")})
    pipeline = Pipeline(suite)
    replay(root, uncommitted, pipeline)
    assert pipeline.settings == logged.settings


def test_changed_code_is_refused_unless_it_is_asked_for(root, suite, capsys):
    (root / "ladd/files.py").write_text((root / "ladd/files.py").read_text() + "\n")
    logged = find_run(root, run_of())
    pipeline = Pipeline(suite)
    assert "but these differed from it: ladd/files.py" in described(root, logged)
    with pytest.raises(ConfigError, match=r"these differed: ladd/files.py; .* --dirty"):
        replay(root, logged, pipeline)
    assert main(["replay", logged.id, "--go"]) == 1
    assert "these differed: ladd/files.py" in capsys.readouterr().err
    replay(root, logged, pipeline, allow_dirty=True)
    assert pipeline.stage == STAGE


def test_changed_results_are_no_changed_code(root, suite):
    (root / ".gitignore").write_text("__pycache__/\n.work/\n.mlflow/\nartifacts/\n")
    logged = find_run(root, run_of())
    assert logged.tags["git.dirty"] == "true"
    replay(root, logged, Pipeline(suite))


def test_older_run_that_names_no_files_counts_as_changed_if_its_tree_was(root, suite, logged):
    tags = {key: value for key, value in logged.tags.items() if key != "git.changed"}
    replay(root, logged._replace(tags=tags), Pipeline(suite))
    with pytest.raises(ConfigError, match="these differed: files that it does not name"):
        replay(root, logged._replace(tags=tags | {"git.dirty": "true"}), Pipeline(suite))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"settings": None}, ArtifactError, "kept no params.yaml"),
        ({"tags": {"git.commit": "none"}}, ConfigError, "did not run in a git repository"),
        ({"tags": {}}, ArtifactError, r"has no dvc.out.\* tag"),
    ],
)
def test_run_that_lacks_something_is_refused(root, suite, logged, change, error, message):
    if "tags" in change:
        kept = {key: value for key, value in logged.tags.items() if not key.startswith("dvc.out.")}
        change = {"tags": kept | change["tags"]}
    with pytest.raises(error, match=message):
        replay(root, logged._replace(**change), Pipeline(suite))


def test_unknown_run_and_run_of_no_stage_are_errors(root, logged, capsys):
    assert main(["replay", "0123"]) == 1
    assert "run 0123 is not in sqlite:" in capsys.readouterr().err
    assert main(["replay", logged.tags["mlflow.parentRunId"]]) == 1
    assert "it is not the run of a stage" in capsys.readouterr().err


@pytest.mark.slow
def test_replay_through_dvc_restores_what_the_cache_has(root, suite, capfd, monkeypatch):
    """The outputs of the suite were committed to DVC's cache, so nothing has to be computed for a training."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    logged = find_run(root, run_of("stage2@di"))
    shutil.rmtree(suite / "artifacts")
    assert main(["replay", logged.id, "--go"]) == 0, capfd.readouterr().err
    assert "artifacts/models/di: equal" in capfd.readouterr().out


HOSTILE = [
    ({"dvc.stage": "data@a;touch PWNED;"}, "dvc.stage is"),
    ({"dvc.stage": "--help"}, "dvc.stage is"),
    ({"git.commit": "--output=PWNED"}, "git.commit is"),
    ({"git.commit": "HEAD\n"}, "git.commit is"),
    ({"suite": "../../elsewhere"}, "suite is"),
    ({"suite": "other"}, "its params.yaml is of suite tiny"),
]


@pytest.mark.parametrize(("tags", "message"), HOSTILE)
def test_tags_that_no_stage_writes_are_refused_before_anything_runs(root, suite, logged, tags, message):
    hostile = logged._replace(tags={**logged.tags, "git.changed": "none", **tags})
    with pytest.raises(ConfigError, match=message):
        replay(root, hostile, never_run)
    if message.endswith("is"):
        with pytest.raises(ConfigError, match=message):
            described(root, hostile)


def never_run(*_: object) -> None:
    raise AssertionError("the pipeline was called")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values["sweeps"].update({"a;touch PWNED;": values["sweeps"]["di-seq"]}), "sweeps.a;touch"),
        (lambda values: values.update({"root": "$(touch PWNED)/../../.."}), "root"),
        (lambda values: values.update({"suite": "x;touch PWNED"}), "suite"),
    ],
)
def test_params_of_a_run_are_checked_before_anything_runs(root, suite, logged, change, message):
    values = yaml.safe_load(logged.settings)
    change(values)
    with pytest.raises(ConfigError, match=message):
        replay(root, logged._replace(settings=yaml.safe_dump(values)), never_run)


@pytest.mark.parametrize("settings", ["", "- a list", "a: [", "root: ../..\n"])
def test_params_of_a_run_that_are_none_are_an_error(root, suite, logged, settings):
    with pytest.raises(ConfigError):
        replay(root, logged._replace(settings=settings), never_run)


def test_id_that_is_a_path_is_refused(root, suite, logged):
    with pytest.raises(ConfigError, match="no run such an id"):
        replay(root, logged._replace(id="../../../x"), never_run)
