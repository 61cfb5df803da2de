"""docs/extending: a sampler, a system, a process, a task and a metric, a file each; their settings and mathematics."""

from __future__ import annotations

import ast
import itertools
import math
import shutil

import pytest
import torch
import yaml

from ladd.config import Suite, load_suite
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.uniform import UniformProcess
from ladd.errors import ConfigError, SamplingError
from ladd.evaluation.bounds import BoundSettings
from ladd.evaluation.estimate import estimate
from ladd.registry import discover, suite_folder
from ladd.samplers.base import Sampler, sample
from ladd.samplers.sources import Stream, TokenSource
from ladd.systems.base import System
from tests.builders import TableDenoiser
from tests.stages.tiny import REPOSITORY

EXAMPLES = REPOSITORY / "docs/extending"
LINES = {"remasking.py": 60, "span_mdlm.py": 150, "spans.py": 80, "parity.py": 80, "even.py": 40}
TOKENS, VOCABULARY = 8, 2


def test_each_is_one_file_as_short_as_an_addition_may_be():
    files = {path.name: path for path in EXAMPLES.glob("*.py")}
    assert files.keys() == LINES.keys()
    assert [name for name, path in files.items() if len(path.read_text().splitlines()) > LINES[name]] == []
    known = {path.stem for path in files.values()}
    for path in files.values():
        relative = [node for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "level", 0)]
        assert {node.module for node in relative} <= known, path  # nothing else of the suite is needed


def test_one_block_each_is_all_that_names_them():
    values = yaml.safe_load((EXAMPLES / "params.yaml").read_text())
    assert {data["kind"] for data in values["data"].values()} == {"parity"}
    assert "span-mdlm" in {model["family"] for model in values["baselines"].values()}
    assert "remasking" in {sweep.get("schedule") for sweep in values["sweeps"].values()}
    assert "even" in values["evaluation"]["metrics"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train: 2048", "train: 0", r"data\.bits\.train: 0: Input should be greater than or equal to 1"),
        ("span: 2", "span: 0", r"baselines\.spans\.span: 0: Input should be greater than or equal to 1"),
        ("remask: 0.3", "remask: 1.5", r"sweeps\.remasked\.remask: 1\.5: Input should be less than 1"),
        ("remask: 0.3", "remark: 0.3", r"sweeps\.remasked\.remark"),
        ("first: 8", "first: 0", r"first: 0: Input should be greater than or equal to 1"),
        ("even:", "odd:", r"evaluation\.metrics: 'odd' is not registered; known are .*'even'"),
        ("family: span-mdlm", "family: spam", r"baselines\.spans\.family: 'spam': .*'mdlm-uniform'.*'span-mdlm'"),
        ("schedule: remasking", "schedule: remarking", r"sweeps\.remasked\.schedule: 'remarking': .*'remasking'"),
        ("kind: parity, tokens", "kind: purity, tokens", r"data\.bits\.kind: 'purity': .*'parity'"),
    ],
)
def test_wrong_settings_of_each_are_errors_that_name_the_key(tmp_path, old, new, message):
    folder = shutil.copytree(EXAMPLES, tmp_path / "suite", ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_suite(folder / "params.yaml")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("broken.py", "import nothing_of_that_name", ["broken.py cannot be imported", "nothing_of_that_name"]),
        ("ends.py", "import sys\nsys.exit()", ["ends.py cannot be imported: SystemExit", "its name begin with _"]),
        (
            "unsaid.py",
            "from ladd.samplers.base import Sampler\nclass Mine(Sampler):\n    name = 'mine'\n"
            "    def steps(self): ...\n    def initialise(self): ...\n    def update(self): ...\n",
            ["unsaid.py: 'mine' has no attribute 'takes'"],
        ),
        (
            "twin.py",
            (EXAMPLES / "span_mdlm.py").read_text(),
            ["'span-mdlm' is the name of another System", "span_mdlm.py", "rename one"],
        ),
    ],
)
def test_modules_that_cannot_register_are_named(tmp_path, name, text, words):
    folder = shutil.copytree(EXAMPLES, tmp_path / "suite", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / name).write_text(text)
    with pytest.raises(ConfigError) as error:
        load_suite(folder / "params.yaml")
    assert [word for word in words if word not in str(error.value)] == []


def example() -> Suite:
    return load_suite(EXAMPLES / "params.yaml")


def spans_process() -> MaskedProcess:
    return System.of(example(), "spans").process


def exact_bound(denoiser: torch.nn.Module, x: torch.Tensor, span: int) -> torch.Tensor:
    """Mean of -log p(x) over all orders in which spans can be revealed, (n,), nats per token."""
    spans, losses = TOKENS // span, torch.zeros(len(x), dtype=torch.float64)
    for revealed in itertools.chain.from_iterable(itertools.combinations(range(spans), k) for k in range(spans)):
        hidden = ~torch.isin(torch.arange(TOKENS) // span, torch.tensor(revealed))
        logits = denoiser(torch.where(hidden, VOCABULARY, x), torch.zeros(len(x)))
        nll = -torch.log_softmax(logits, dim=-1).gather(2, x[..., None])[..., 0]
        orders = math.factorial(len(revealed)) * math.factorial(spans - len(revealed) - 1)
        losses += nll[:, hidden].sum(dim=1) * orders / math.factorial(spans)
    return losses / TOKENS


def test_bound_of_the_system_is_the_sum_over_all_orders():
    suite, denoiser = example(), TableDenoiser(TOKENS, VOCABULARY)
    x = torch.randint(VOCABULARY, (200, TOKENS), generator=torch.Generator().manual_seed(1))
    settings = BoundSettings(time_draws=200, batch=200, seed=3)
    bound = System.of(suite, "spans").bounds(denoiser, x, settings, suite.sweeps["spans"])["token_elbo"]
    difference = estimate(bound - exact_bound(denoiser, x, 2))
    assert difference.stderr < 0.02
    assert abs(difference.value) < 4 * difference.stderr
    assert (exact_bound(denoiser, x, 2) - exact_bound(denoiser, x, 1)).abs().mean() > 0.1  # what it could be taken for


@pytest.mark.parametrize("name", DISCRETE_SCHEDULES)
@pytest.mark.parametrize("span", [1, 2, 3])
def test_sampler_keeps_the_marginals_of_every_masked_process(name, span):
    schedule = DISCRETE_SCHEDULES[name]
    process = type(spans_process())(schedule, VOCABULARY, span)
    source = TokenSource(
        Stream(process, "token", (TOKENS,)), lambda x, t: Prediction(torch.zeros(*x.shape, 2), torch.nn.Identity())
    )
    with suite_folder(EXAMPLES):
        sampler = discover("ladd.samplers", Sampler)["remasking"](source=source, token_steps=5, remask=0.4)
    start = torch.full((4000, TOKENS), VOCABULARY)
    start[:, 0] = 1  # given
    again, before = 0, start == VOCABULARY

    def check(step, state):
        nonlocal again, before
        masked = state.tokens == VOCABULARY
        share = estimate(masked[:, 1:].double().mean(dim=1))
        expected = 1 - float(schedule.alpha(step.s)) if step.s > 0 else 0.0
        assert abs(share.value - expected) <= 5 * share.stderr + 1e-9
        again, before = again + int((masked & ~before).sum()), masked

    drawn = sample(sampler, start, SampleNoise(0, torch.arange(4000)), check)
    assert again > 0
    assert (drawn.tokens[:, 0] == 1).all()
    assert (drawn.token_passes <= 5).all()


def test_sampler_refuses_a_process_without_masks():
    source = TokenSource(Stream(UniformProcess(DISCRETE_SCHEDULES["linear"], 2), "token", (8,)), None)
    with suite_folder(EXAMPLES), pytest.raises(SamplingError, match="'remasking' is for masked processes"):
        discover("ladd.samplers", Sampler)["remasking"](source=source, token_steps=2, remask=0.4)
