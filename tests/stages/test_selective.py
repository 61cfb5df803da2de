"""`dvc repro` after an edit: which stages run, with stages that write a hash of what they read."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.graph import read_graph, select
from flows.stage import Outcome, Processes, StageRunner
from flows.suite import Pass
from ladd.launch.project import write_project
from ladd.launch.ready import make_ready
from ladd.yaml_files import read_yaml
from tests.builders import text_suite_values
from tests.stages.test_plan import add_corpus, code, put
from tests.stages.tiny import REPOSITORY, commit, environment, git, make_suite, write_params

# In place of Python. It runs the plan, and for any other stage writes the declared outputs.
PYTHON = f"""#!{sys.executable}
import hashlib, json, os, re, sys
from pathlib import Path
name = sys.argv[2].rpartition(".")[2]
if name == "plan":
    os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
import yaml
key = sys.argv[3] if len(sys.argv) > 3 else "all"
entry = json.loads(Path("plan.json").read_text())["plan"][name][key]
stage = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][name]
stage = stage.get("do", stage)
def fill(text):
    return re.sub(r"[$][{{]item[.](\\w+)[}}]", lambda found: str(entry[found[1]]), text).replace("${{key}}", key)
read = [path for each in stage.get("deps", []) for path in [Path(fill(each)), *sorted(Path(fill(each)).rglob("*"))]]
numbers = {{name: value for name, value in entry.items() if name != "code"}}
splits = {{name: value for name, value in numbers.items() if name != "zero_shot"}}
made = repr([numbers if name != "data" else splits, [path.read_bytes() for path in read if path.is_file()]])
for out in [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]:
    path = Path(fill(out if isinstance(out, str) else next(iter(out))))
    files = [path]
    if not path.suffix:
        views = [f"{{view}}/train" for view in entry.get("views", {{}})]
        files = [path / each for each in ("train", "validation", "tokenizer", "weights.safetensors", *views)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(hashlib.sha256(f"{{file}} {{made}}".encode()).hexdigest())
    if name == "data":
        (path / "zero_shot").write_text(repr(numbers.get("zero_shot")))
"""
SWEEPS = ("co-seq", "di-joint", "mdlm")
MODELS = (
    "stage1@learned",
    "prior@chunks",
    "prior@learned",
    "baseline@mdlm",
    "baseline@ar",
    "stage2@co",
    "stage2@di",
    "stage2@ccdd",
    "stage2@co-learned",
)


def values() -> dict:
    """A suite of text with three sweeps."""
    found = text_suite_values()
    return found | {"sweeps": {key: found["sweeps"][key] for key in SWEEPS}}


class Pipeline:
    """A repository with DVC in which the stages of a suite write hashes."""

    def __init__(self, root: Path):
        self.root = root
        self.folder = make_suite(root, root / "suites/tiny", values())
        (root / ".dvcignore").write_text((REPOSITORY / ".dvcignore").read_text())
        (root / "bin").mkdir()
        (root / "bin/python").write_text(PYTHON)
        (root / "bin/python").chmod(0o755)
        self.environment = environment() | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment["PATH"] = f"{root}/bin:{self.environment['PATH']}"
        subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=root, env=self.environment, check=True)
        write_project(root, self.folder)
        (root / ".gitignore").write_text("artifacts/\n.work/\n**/results/*.html\n")

    def repro(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "dvc", "repro", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def ran(self) -> tuple[set[str], set[str]]:
        """Stages whose command ran, but for the plan, and those that were restored."""
        process = self.repro()
        if "run the same command again" in process.stderr + process.stdout:
            process = self.repro()
        assert process.returncode == 0, process.stdout + process.stderr
        ran = {name for name in re.findall(r"Running stage '([^'\n]+)'", process.stdout) if name != "plan"}
        return ran, set(re.findall(r"Stage '([^'\n]+)' is cached", process.stdout))

    def launched(self) -> tuple[set[str], set[str]]:
        """The same by way of the flow, without Prefect."""
        make_ready(self.folder, self.environment)
        graph, processes = read_graph(self.folder), Processes()
        runner = StageRunner(self.folder, self.environment, processes, threading.BoundedSemaphore(1))
        launch = Pass(select(graph, (), downstream=True)[0], graph.unchanged, set(), runner)
        outcomes = {stage: launch.run(stage, lambda line: None) for stage in launch.part if stage != "plan"}
        ran = {stage for stage, outcome in outcomes.items() if outcome is Outcome.COMPLETED}
        return ran, {stage for stage, outcome in outcomes.items() if outcome is Outcome.RUN_CACHE}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    """A suite that has run, and is committed."""
    found = Pipeline(tmp_path_factory.mktemp("selective"))
    ran, _ = found.ran()
    assert len(ran) == 1 + 1 + 1 + len(MODELS) + len(BOUNDS) + 2 * len(SWEEPS) + 2
    commit(found.root)
    return found


def of(*sweeps: str) -> set[str]:
    return {f"{stage}@{key}" for stage in ("sample", "measure") for key in sweeps} | {"compare"}


BOUNDS = {f"bound@{key}" for key in ("mdlm", "ar", "co", "di", "ccdd", "co-learned")}
MEASURES = {"measure@co-seq", "measure@di-joint", "measure@mdlm", "reference@text"}
EDITS: dict[str, tuple[Callable[[dict, Path], None], set[str]]] = {
    "comment in a loss": (code("ladd/systems/channels.py", "\n", "\n# a comment\n"), set()),
    "new sampler": (code("ladd/samplers/more.py", "", "def more(): ...\n"), set()),
    "new zero-shot corpus": (add_corpus, {"data@text", "compare"} | BOUNDS | MEASURES),
    "workers": (put("run.workers", 7), set()),
    "K": (put("codebooks.codes.codebook", 4), {"codebook@codes", "stage2@di", "bound@di"} | of("di-joint")),
    "temperature": (put("sweeps.co-seq.temperature", 0.5), of("co-seq")),
    "version of a metric": (code("ladd/metrics/mauve.py", 'version = "', 'version = "other-'), MEASURES | {"compare"}),
    "new metric": (code("ladd/metrics/more.py", "", "def more(): ...\n"), set()),
    "objective": (
        code("ladd/systems/mdlm.py", "\n\n\n", "\n\nMORE = 1\n\n\n"),
        {"baseline@mdlm", "bound@mdlm"} | of("mdlm"),
    ),
    "width of the prior": (put("priors.chunks.network.width", 16), {"prior@chunks"} | of("co-seq")),
    "batch of sampling": (put("run.batch", 3), set()),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", [Pipeline.ran, Pipeline.launched], ids=["dvc", "flow"])
@pytest.mark.parametrize("name", EDITS)
def test_edit_runs_these_stages_and_no_others_and_putting_it_back_runs_none(pipeline, name, way):
    edit, expected = EDITS[name]
    changed = values() | {"root": "../.."}
    edit(changed, pipeline.root)
    write_params(pipeline.folder, json.loads(json.dumps(changed)))
    ran, restored = way(pipeline)
    assert ran | restored == expected
    assert bool(restored) == (bool(expected) and way is Pipeline.launched)  # DVC has run them the other way before
    assert way(pipeline) == (set(), set())
    git(pipeline.root, "checkout", "--", "ladd", "suites/tiny/params.yaml")
    ran, restored = way(pipeline)
    assert ran == set()
    assert restored == expected
    assert git(pipeline.root, "status", "--porcelain", "--untracked-files=no") == ""
    git(pipeline.root, "clean", "--quiet", "--force", "--", "ladd", "suites")


def renamed() -> dict:
    """The suite with another key for one of its models."""
    changed = json.loads(json.dumps(values() | {"root": "../.."}))
    changed["models"] = {key.replace("di", "renamed"): model for key, model in changed["models"].items()}
    changed["sweeps"]["di-joint"]["model"] = "renamed"
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("way", [Pipeline.ran, Pipeline.launched], ids=["dvc", "flow"])
def test_renamed_key_runs_what_has_its_name_and_putting_it_back_restores_all_even_without_its_files(pipeline, way):
    """`compare` reads folders, and so what a key that is gone has left in them: it alone runs."""
    old, new = {"stage2@di", "bound@di"}, {"stage2@renamed", "bound@renamed"}
    left = ["results/history/stage2-di.csv", "results/loss_by_time/di.csv"]

    def after(changed: dict) -> tuple[set[str], set[str]]:
        write_params(pipeline.folder, changed)
        return way(pipeline)

    original = values() | {"root": "../.."}
    assert set().union(*after(renamed())) == new | of("di-joint")
    assert old | new < read_yaml(pipeline.folder / "dvc.lock")["stages"].keys()
    assert all((pipeline.folder / path).is_file() for path in left)

    ran, restored = after(original)
    assert ran <= {"compare"}
    assert ran | restored == of("di-joint")  # the rest was never taken away
    git(pipeline.root, "clean", "--quiet", "--force", "--", "suites")
    assert way(pipeline) == (set(), {"compare"})

    write_params(pipeline.folder, renamed())
    git(pipeline.folder, "rm", "--quiet", *left)
    ran, restored = way(pipeline)
    assert ran <= {"compare"}
    assert ran | restored == new | of("di-joint")
    ran, restored = after(original)
    assert ran <= {"compare"}
    assert ran | restored == old | of("di-joint")
    assert all((pipeline.folder / path).is_file() for path in left)

    git(pipeline.root, "reset", "--quiet", "--hard")
    git(pipeline.root, "clean", "--quiet", "--force", "--", "suites")
    assert way(pipeline)[0] == set()
    assert git(pipeline.root, "status", "--porcelain") == ""


@pytest.mark.slow
def test_repeated_run_changes_nothing_in_seconds(pipeline):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    assert pipeline.ran() == (set(), set())
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 3  # of a processor, whatever else runs
    assert git(pipeline.root, "status", "--porcelain") == ""


@pytest.mark.slow
def test_new_stage_is_said_to_need_another_start(pipeline):
    changed = values() | {"root": "../.."}
    changed["baselines"]["more"] = changed["baselines"]["mdlm"]
    write_params(pipeline.folder, changed)
    process = pipeline.repro()
    assert process.returncode != 0
    assert "params.yaml has other stages than plan.json had when DVC read it: run the same command again" in (
        process.stdout + process.stderr
    )
    assert pipeline.ran()[0] == {"baseline@more", "bound@more", "compare"}
