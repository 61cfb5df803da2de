"""params.yaml, the plan, dvc.yaml and the classes of the configuration say the same."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.config import Suite, load_suite
from ladd.config.inherit import extended_files
from ladd.errors import ConfigError
from ladd.launch.overrides import read_values
from ladd.launch.pipeline import HEADER
from ladd.stages.code import Code
from ladd.stages.declaration import read_declaration
from ladd.stages.plan import read_plan
from ladd.stages.planned import PLANNED, make_plan, stages_in_order
from ladd.yaml_files import read_yaml, write_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
SUITES = sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))
MEASURED = [folder for folder in (REPOSITORY, *SUITES) if (folder / "dvc.lock").is_file()]
STAGES = read_yaml(REPOSITORY / "dvc.yaml")["stages"]

CORE = [
    f"ladd.{name}"
    for name in (
        "assets",
        "data",
        "diffusion",
        "evaluation",
        "latents",
        "networks",
        "training",
    )
]


@pytest.mark.parametrize("folder", [REPOSITORY, *SUITES], ids=lambda folder: folder.name)
def test_suite_is_valid(folder):
    suite = load_suite(folder / "params.yaml")
    assert (folder / suite.root).resolve() == REPOSITORY
    assert suite.suite == (folder.name if folder != REPOSITORY else "sawtooth")


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: folder.name)
def test_suites_share_the_pipeline(folder):
    path = folder / "dvc.yaml"
    assert not path.is_symlink()  # DVC reads no link in a git revision
    assert path.read_text() == HEADER + (REPOSITORY / "dvc.yaml").read_text(), "run `make pipelines`"


@pytest.mark.parametrize("folder", [REPOSITORY, *SUITES], ids=lambda folder: folder.name)
def test_plan_is_that_of_the_suite(folder):
    suite = load_suite(folder / "params.yaml")
    assert read_plan(folder) == make_plan(suite, Code(REPOSITORY, folder)), "run `make pipelines`"
    assert {path.name for path in extended_files(folder / "params.yaml")} <= {"params.yaml"}


@pytest.mark.parametrize("folder", MEASURED, ids=lambda folder: folder.name)
def test_lock_holds_the_plan(folder):
    """Otherwise the first `dvc repro` of a fresh clone leaves another dvc.lock, even where it computes nothing."""
    (locked,) = read_yaml(folder / "dvc.lock")["stages"]["plan"]["outs"]
    assert locked["md5"] == hashlib.md5((folder / "plan.json").read_bytes()).hexdigest(), "run `make pipelines`"


def test_plan_and_pipeline_have_the_same_stages():
    assert list(STAGES) == ["plan", *PLANNED]
    blocks = {block for planned in PLANNED.values() for block in planned.blocks}
    found = {name for name, field in Suite.model_fields.items() if str(field.annotation).startswith("dict[")}
    assert blocks == found - {"claims"}  # a file of its own, which `compare` reads


@pytest.mark.parametrize("stage", PLANNED)
def test_stage_runs_its_module_and_depends_on_its_entry_of_the_plan_and_on_outputs(stage):
    declared = STAGES[stage].get("do", STAGES[stage])
    key = "${key}" if PLANNED[stage].blocks else "all"
    assert declared["params"] == [{"plan.json": [f"digests.{stage}.{key}"]}]
    assert STAGES[stage].get("foreach") == (f"${{plan.{stage}}}" if PLANNED[stage].blocks else None)
    assert declared["cmd"] == f"python -m ladd.stages.{stage}" + (" '${key}'" if key == "${key}" else "")
    assert [
        path for path in declared.get("deps", []) if not path.startswith(("artifacts/", "results/", "${item."))
    ] == []
    # Otherwise DVC forgets the run: a setting that is put back runs the stage again.
    outputs = [next(iter(o.values())) if isinstance(o, dict) else {} for o in declared.get("outs", [])]
    assert [options for options in outputs if options.get("cache") is False] == []


@pytest.mark.parametrize("folder", [REPOSITORY, *SUITES], ids=lambda folder: folder.name)
def test_every_template_resolves(folder):
    for stage, key in stages_in_order(vars(load_suite(folder / "params.yaml"))):
        declared = read_declaration(stage, key, folder)
        filled = [declared.command, *map(str, declared.dependencies), *map(str, declared.outputs)]
        assert [text for text in filled if "$" in text] == []


def test_keys_that_dvc_cannot_look_up_are_refused(tmp_path):
    values = read_values(REPOSITORY / "params.yaml")
    values["sweeps"]["di-0.5"] = values["sweeps"]["di-seq"]
    (tmp_path / "params.yaml").write_text(write_yaml(values))
    with pytest.raises(ConfigError, match=r"sweeps\.di-0\.5.*pattern"):
        load_suite(tmp_path / "params.yaml")


def test_text_suite_reads_on_two_pages():
    assert len((REPOSITORY / "suites/text-demo/params.yaml").read_text().splitlines()) <= 120


BLOCKED = """
import importlib, pkgutil, sys

PIPELINE = {"pydantic", "yaml", "ruamel", "dvc", "mlflow", "polars", "matplotlib", "jinja2"}
TEXT = {"pyarrow", "transformers", "tokenizers", "huggingface_hub", "sklearn", "datasets", "gguf"}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in PIPELINE | TEXT:
            raise ModuleNotFoundError("blocked: " + name)

sys.meta_path.insert(0, Blocked())
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        importlib.import_module(found.name)
        print(found.name)
"""


def import_blocked(*names: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", BLOCKED, *names]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_core_modules_import_without_the_pipeline_packages():
    process = import_blocked(*CORE)
    assert process.returncode == 0, process.stderr
    assert {"ladd.training.loop", "ladd.latents.frozen", "ladd.assets.hub"} <= set(process.stdout.split())


@pytest.mark.parametrize("name", ["ladd.stages.runtime", "pyarrow", "transformers", "sklearn.cluster", "gguf"])
def test_blocked_packages_are_really_blocked(name):
    assert "blocked: " in import_blocked(name).stderr
