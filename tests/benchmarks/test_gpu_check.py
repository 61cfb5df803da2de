"""The check of a GPU, rehearsed on the CPU: all of it runs, what it measures is written, and what is wrong is found."""

import copy
import json
import math
import subprocess
import sys

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.gpu import compilation, equality, law, paper, sampling, sawtooth, sharded, training
from benchmarks.gpu.runner import FAILED, PASSED, SKIPPED, run_checks
from benchmarks.gpu.setting import CPU, Check, Part, Setting, UnexpectedError, expect
from benchmarks.gpu.table import cell, markdown
from benchmarks.measure import peak_flops
from ladd.config import load_suite
from ladd.systems.base import System
from ladd.tasks.sawtooth import SawtoothReference
from tests.builders import perturb
from tests.stages.tiny import REPOSITORY, environment

# torch's own, while it traces.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
REHEARSAL = Setting(CPU, rehearsal=True)
# Not on a bare machine with CUDA and torch.
ABSENT = ["polars", "matplotlib", "jinja2", "yaml", "ruamel", "dvc", "mlflow", "pyarrow", "prefect", "ray", "sklearn"]
ABSENT += ["transformers", "tokenizers", "datasets", "vector_quantize_pytorch", "psutil", "huggingface_hub"]


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
    """Exit code, report and tables of a whole rehearsal."""
    folder = tmp_path_factory.mktemp("gpu-check")
    code = gpu_check.main([str(folder), "--rehearse"])
    return code, json.loads((folder / "gpu-check.json").read_text()), (folder / "gpu-check.md").read_text()


def test_rehearsal_passes_every_check(rehearsed):
    code, report, _ = rehearsed
    assert {row["part"]: row["error"] for row in report["results"] if row["status"] != PASSED} == {}
    assert code == 0
    assert {row["check"] for row in report["results"]} == {check.name for check in gpu_check.all_checks()}
    assert report["rehearsal"]


def test_report_holds_every_figure(rehearsed):
    _, report, _ = rehearsed
    found = {(row["check"], row["part"]): row["values"] for row in report["results"]}
    for steps in sampling.BUDGETS:
        for title in sampling.MODELS:
            assert {"ours, s", "dense, s", "samples per second"} <= found["sampling", f"{title}, K {steps}"].keys()
    for row in training.ROWS:
        values = found["training", row.name]
        assert {"ms per step", "tokens per second", "MFU, %", "step, GB", "in all, GB"} <= values.keys()
        assert values["tokens per second"] > 0 < values["step, GB"]
    for family in equality.FAMILIES:
        assert found["equality", f"{family}, losses and gradients"]["gradient differs by"] == 0.0
        assert found["compile", family]["graph breaks"] == 0
    assert {steps for steps in law.BUDGETS if ("law", f"K {steps}") in found} == set(law.BUDGETS)
    [values] = (values for (check, _), values in found.items() if check == "sawtooth")
    assert len(values["losses on the CPU"]) == len(values["losses on the device"]) == values["steps on both"] > 1
    numbers = [value for values in found.values() for value in values.values() if isinstance(value, float)]
    assert all(map(math.isfinite, numbers))


def test_tables_name_every_part_and_say_what_they_are(rehearsed):
    _, report, text = rehearsed
    assert "# Rehearsal" in text
    assert "say nothing about a GPU" in text
    sections = {section.partition(":")[0]: section.splitlines() for section in text.split("\n## ")[1:]}
    for row in report["results"]:
        head, _, *lines = (line.split(" | ") for line in sections[row["check"]] if line.startswith("|"))
        [found] = (dict(zip(head, line, strict=True)) for line in lines if line[:2] == [f"| {row['part']}", "passed"])
        for name, value in row["values"].items():
            assert found[name] == cell(value)


@pytest.mark.parametrize("name", paper.MODELS)
def test_models_are_those_of_the_suites(name):
    suite, _, key = name.partition("/")
    expected, found = System.of(load_suite(REPOSITORY / "suites" / suite / "params.yaml"), key), paper.system(name)
    assert found.settings == expected.settings
    assert type(found) is type(expected)
    assert (found.tokens, found.vocabulary, found.shape) == (expected.tokens, expected.vocabulary, expected.shape)


def test_sawtooth_is_that_of_the_suite():
    data = load_suite(REPOSITORY / "suites/sawtooth-paper/params.yaml").data["sawtooth"]
    assert (data.periods, data.floor) == (sawtooth.PERIODS, sawtooth.FLOOR)


def boom():
    raise RuntimeError("no such kernel")


def check(name: str, *measures) -> Check:
    return Check(name, "of nothing", 0.5, lambda _: [Part(f"{name} {i}", each) for i, each in enumerate(measures)])


def test_failure_keeps_what_others_found_and_gives_exit_code_1(tmp_path, capsys):
    def wrong():
        return expect({"apart": 0.5}, near=("0.1 at most", False), sound=("anything", True))

    checks = [check("first", boom, lambda: {"value": 3}), check("second", wrong, lambda: {"value": 4})]
    assert gpu_check.check_all(checks, REHEARSAL, 100.0, tmp_path) == 1
    rows = json.loads((tmp_path / "gpu-check.json").read_text())["results"]
    assert [row["status"] for row in rows] == [FAILED, PASSED, FAILED, PASSED]
    assert [row["values"] for row in rows] == [{}, {"value": 3}, {"apart": 0.5}, {"value": 4}]
    assert "Traceback" in rows[0]["error"]
    assert "in boom" in rows[0]["error"]
    assert rows[2]["error"] == "wanted: 0.1 at most"
    assert "RuntimeError: no such kernel" in (tmp_path / "gpu-check.md").read_text()
    assert "first: first 0: failed" in capsys.readouterr().out


def test_check_without_parts_fails_alone():
    def parts(setting):
        yield Part("whole", dict)
        boom()

    found = list(run_checks([Check("broken", "", 0.5, parts), check("sound", dict)], REHEARSAL, 100.0))
    assert [(row.part, row.status) for row in found] == [("whole", PASSED), ("set-up", FAILED), ("sound 0", PASSED)]


def test_parts_beyond_the_budget_are_skipped_and_time_that_is_left_is_passed_on():
    now = [0.0]

    def takes(seconds):
        def measure():
            now[0] += seconds
            return {}

        return measure

    # 50 seconds each: the second part would end after 60, and so would the third by that measure.
    slow, fast = check("slow", takes(30.0), takes(30.0), takes(1.0)), check("fast", *[takes(20.0)] * 4)
    found = list(run_checks([slow, fast], REHEARSAL, 100.0, clock=lambda: now[0]))
    assert [row.status for row in found] == [PASSED, SKIPPED, SKIPPED, PASSED, PASSED, PASSED, SKIPPED]
    assert [row.seconds for row in found if row.status == PASSED] == [30.0, 20.0, 20.0, 20.0]


def test_missing_packages_are_named_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "find_spec", lambda name: None if name in ("pydantic", "tqdm") else name)
    assert gpu_check.main([str(tmp_path), "--rehearse"]) == gpu_check.UNUSABLE
    [line] = capsys.readouterr().err.splitlines()
    assert "missing packages: tqdm, pydantic" in line


@pytest.mark.parametrize(("found", "fits"), [("2.10.0+cu130", False), ("2.11.0+cu130", True), ("3.0.0a0", True)])
def test_old_torch_is_refused(found, fits, monkeypatch):
    monkeypatch.setattr(gpu_check, "version", lambda name: found)
    assert (gpu_check.obstacle() is None) is fits


def test_machine_without_gpu_is_told_of_the_rehearsal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main([str(tmp_path)]) == gpu_check.UNUSABLE
    assert "--rehearse" in capsys.readouterr().err
    assert gpu_check.main([str(tmp_path), "--rehearse", "--only", "nothing"]) == gpu_check.UNUSABLE
    assert "no check ['nothing']" in capsys.readouterr().err


def test_a_bare_machine_has_all_that_is_imported(tmp_path):
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); from benchmarks.gpu_check import main; "
    code += f"sys.exit(main([{str(tmp_path)!r}, '--rehearse', '--only', 'law', 'memory']))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_another_result_on_the_device_is_found(monkeypatch):
    def differ(system, setting):
        (cpu, model), (device, other) = on_both(system, setting)
        return [(cpu, model), (device, perturb(other, 1e-3))]

    on_both = equality.on_both
    monkeypatch.setattr(equality, "on_both", differ)
    with pytest.raises(UnexpectedError, match="gradients that differ by"):
        equality.gradients(paper.system("lm1b/di-32", small=True), REHEARSAL)


def test_other_samples_on_the_device_are_found(monkeypatch):
    on_both = equality.on_both
    monkeypatch.setattr(
        equality, "on_both", lambda *given: [(d, perturb(copy.deepcopy(m), 0.1)) for d, m in on_both(*given)]
    )
    with pytest.raises(UnexpectedError, match="sample that differs"):
        equality.samples(paper.system("lm1b/mdlm", small=True), "lm1b/mdlm", "none", 0, REHEARSAL)


def test_another_state_after_reading_is_found(monkeypatch):
    def differ(checkpoint, model, *rest):
        read_shards(checkpoint, model, *rest)
        with torch.no_grad():
            next(model.parameters()).add_(1e-6)

    read_shards = sharded.read_shards
    monkeypatch.setattr(sharded, "read_shards", differ)
    with pytest.raises(UnexpectedError, match="the state that was written"):
        sharded.sharded(paper.system("lm1b/mdlm", small=True))


def test_samples_of_another_law_are_found(monkeypatch):
    law_of_steps = law.law_of_steps
    monkeypatch.setattr(law, "law_of_steps", lambda exact, steps: law_of_steps(exact, 1))
    with pytest.raises(UnexpectedError, match="standard deviations"):
        law.exact_sampler(4, 20_000, REHEARSAL)


def test_law_of_one_step_is_the_product_of_the_marginals_and_of_more_nears_the_data():
    exact = SawtoothReference(law.TOKENS, law.PERIODS, law.FLOOR, law.GRID)
    x = torch.cartesian_prod(*[torch.arange(2)] * law.TOKENS)
    marginals = exact(torch.full((1, law.TOKENS), exact.mask_id))[0].exp()
    product = marginals[torch.arange(law.TOKENS), x].prod(dim=1)
    data = exact.log_likelihood(x).exp()
    laws = [law.law_of_steps(exact, steps) for steps in (1, 2, 4)]
    torch.testing.assert_close(laws[0], product)
    assert all(float(each.sum()) == pytest.approx(1.0) for each in laws)
    distances = [float((each - data).abs().sum()) for each in laws]
    assert distances[0] > 1.5 * distances[1] > 1.5 * distances[2] > 0


def test_graph_break_in_a_block_is_found(monkeypatch):
    def broken(q, k, v, **options):
        torch._dynamo.graph_break()
        return v

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", broken)
    [found] = run_checks([Check("compile", "", 1.0, lambda s: list(compilation.parts(s))[:1])], REHEARSAL, 100.0)
    assert found.status == FAILED
    assert "graph_break" in found.error


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989.4e12),
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H100 NVL", None),
        ("NVIDIA GB10", None),
    ],
)
def test_peak_is_that_of_the_device_or_none(name, peak):
    assert peak_flops(name) == peak


def test_cells_of_a_table():
    values = {None: "-", 12345: "12,345", 12345.6: "12,346", 0.012345: "0.01235", (1.0, 2.5): "1 2.5"}
    assert [cell(list(value) if isinstance(value, tuple) else value) for value in values] == list(values.values())


def test_report_of_a_gpu_is_no_rehearsal():
    text = markdown({"rehearsal": False, "machine": {"device": "x"}, "titles": {}, "flops": "", "results": []})
    assert text.startswith("# GPU check: x")
    assert "Rehearsal" not in text
    assert "Tiny sizes" not in text
