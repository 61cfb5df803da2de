"""params.yaml, dvc.yaml, the classes of the configuration and the code say the same."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.config import Suite, load_suite
from ladd.errors import ConfigError
from ladd.launch.pipeline import HEADER
from ladd.launch.values import read_values, write_values
from ladd.stages.declaration import read_declaration
from ladd.yaml_files import read_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
SUITES = sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))
STAGES = read_yaml(REPOSITORY / "dvc.yaml")["stages"]

_PLUMBING_MODULES = (
    *("__init__", "cluster", "distributed", "errors", "files", "git", "lock", "progress", "registry", "storage"),
    "yaml_files",
    *("data/__init__", "data/shards"),
)
# Modules that move, check and record numbers but do not make them (docs/architecture.md, "Code dependencies").
PLUMBING = {
    *(f"ladd/{name}.py" for name in _PLUMBING_MODULES),
    *(
        path.relative_to(REPOSITORY).as_posix()
        for name in ("assets", "config", "tracking")
        for path in (REPOSITORY / "ladd" / name).glob("*.py")
    ),
    *(
        f"ladd/stages/{name}.py"
        for name in (
            *("__init__", "artifacts", "chain", "comparison", "declaration", "hashes", "manifest", "md5"),
            *("recorded", "runtime", "signals", "tracked", "unchanged"),
        )
    ),
}

# What their base class finds by name.
REGISTRIES = {
    f"ladd/{axis}/base.py": [f"ladd.{axis}.{path.stem}" for path in (REPOSITORY / "ladd" / axis).glob("*")]
    for axis in ("metrics", "samplers", "systems", "tasks")
}
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


def dependencies_of(stage: str) -> list[str]:
    """As they stand in dvc.yaml, templates and all: a suite may have no key of the stage."""
    return STAGES[stage].get("do", STAGES[stage])["deps"]


def keys_of(stage: str, folder: Path = REPOSITORY) -> list[str | None]:
    block = STAGES[stage].get("foreach", "").strip("${}")
    return list(read_yaml(folder / "params.yaml")[block]) if block else [None]


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
def test_blocks_are_the_fields_of_the_suite_class(folder):
    assert set(read_yaml(folder / "params.yaml")) == set(Suite.model_fields)


def test_stages_have_keys_of_a_block_with_a_class():
    blocks = {stage["foreach"].strip("${}") for stage in STAGES.values() if "foreach" in stage}
    assert blocks <= set(Suite.model_fields)
    assert blocks == {"data", "encoders", "latents", "codebooks", "baselines", "models", "sweeps"}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("folder", [REPOSITORY, *SUITES], ids=lambda folder: folder.name)
def test_every_template_and_parameter_resolves(folder, stage):
    for key in keys_of(stage, folder):
        declared = read_declaration(stage, key, folder)
        filled = [declared.command, *map(str, declared.dependencies), *map(str, declared.outputs), *declared.parameters]
        assert [text for text in filled if "$" in text] == []
        assert declared.parameters


def test_keys_that_dvc_cannot_look_up_are_refused(tmp_path):
    values = read_values(REPOSITORY / "params.yaml")
    values["sweeps"]["di-0.5"] = values["sweeps"]["di-seq"]
    (tmp_path / "params.yaml").write_text(write_values(values))
    with pytest.raises(ConfigError, match=r"sweeps\.di-0\.5.*pattern"):
        load_suite(tmp_path / "params.yaml")


@pytest.mark.parametrize("stage", STAGES)
def test_command_runs_the_module_of_that_name(stage):
    for key in keys_of(stage):
        arguments = [] if key is None else [key]
        command = read_declaration(stage, key).command
        assert shlex.split(command) == ["python", "-m", f"ladd.stages.{stage}", *arguments]
        assert key is None or command.endswith(f" '{key}'")  # no shell looks into it
    assert (REPOSITORY / f"ladd/stages/{stage}.py").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_uncached_outputs_are_metrics_and_plots(stage):
    # Otherwise DVC forgets the run: a parameter that is put back runs the stage again.
    outputs = STAGES[stage].get("do", STAGES[stage]).get("outs", [])
    options = [next(iter(output.values())) for output in outputs if not isinstance(output, str)]
    assert all(option == {"persist": True} for option in options)


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_block_that_a_stage_reads_is_declared_or_keyed(stage):
    # A whole block of another variant's settings would re-run this one.
    keyed = {"data", "encoders", "latents", "codebooks", "baselines", "models"}
    # Bounds are of the inference schedules that sweeps name.
    keyed |= set() if stage in ("bound", "baseline_bound") else {"sweeps"}
    for key in keys_of(stage):
        declared = set(read_declaration(stage, key).parameters)
        assert key is None or not declared & keyed
        assert "seed" in declared


@pytest.mark.parametrize("stage", STAGES)
def test_code_dependencies_are_the_modules_that_the_stage_imports(stage):
    declared = [path.removeprefix("${root}/") for path in dependencies_of(stage) if path.startswith("${root}/ladd")]
    imported = import_closure(f"ladd.stages.{stage}")
    missing = [
        module
        for module in sorted(imported - PLUMBING)
        if not makes_nothing(module) and not any(covers(path, module) for path in declared)
    ]
    superfluous = [path for path in declared if not any(covers(path, module) for module in imported)]
    assert missing == [], f"add to {stage} in dvc.yaml"
    assert superfluous == [], f"remove from {stage} in dvc.yaml"


def test_documented_plumbing_is_the_plumbing():
    text = (REPOSITORY / "docs/architecture.md").read_text()
    section = text.split("## Code dependencies and plumbing")[1].split("\n## ")[0]
    folders = {"ladd/assets", "ladd/config", "ladd/tracking"}
    assert {folder for folder in folders if f"`{Path(folder).name}/`" in section} == folders
    files = {path for path in map(Path, PLUMBING) if path.parent.as_posix() not in folders}
    documented = {path.name for path in files if f"`{path.name}`" in section}
    assert documented == {path.name for path in files} - {"__init__.py"}


def covers(declared: str, module: str) -> bool:
    return module == declared or module.startswith(f"{declared}/")


def import_closure(module: str) -> set[str]:
    """Files within ladd that importing a module runs, packages on the way and what is discovered in them included."""
    files, pending = set(), [module]
    while pending:
        parts = pending.pop().split(".")
        if parts[0] != "ladd":
            continue
        for end in range(1, len(parts) + 1):
            file = module_file(parts[:end])
            if file is not None and file not in files:
                files.add(file)
                pending += imports_of(ast.parse((REPOSITORY / file).read_text()))
                pending += REGISTRIES.get(file, [])
    return files


def makes_nothing(file: str) -> bool:
    """Whether a module is no more than its docstring."""
    return all(isinstance(node, ast.Expr) for node in ast.parse((REPOSITORY / file).read_text()).body)


def module_file(parts: list[str]) -> str | None:
    path = "/".join(parts)
    return next((file for file in (f"{path}/__init__.py", f"{path}.py") if (REPOSITORY / file).is_file()), None)


def imports_of(node: ast.AST) -> list[str]:
    """Names imported below a node, but for those that only a type checker sees."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports are not followed"
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    below = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        below = node.orelse
    return [name for child in below for name in imports_of(child)]


def test_import_closure_follows_packages_and_skips_type_checking():
    assert import_closure("ladd.stages.data") >= {
        "ladd/__init__.py",
        "ladd/tasks/sawtooth.py",
        "ladd/diffusion/noise.py",
    }
    text = "if TYPE_CHECKING:\n    import ladd.config\nelse:\n    import a\ndef f():\n    from b import c"
    assert imports_of(ast.parse(text)) == ["a", "b", "b.c"]


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
