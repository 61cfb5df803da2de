"""A sampler, a process and a system that a suite brings along, one file each, from its parameters to a table."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

from ladd.config import load_suite
from ladd.errors import ConfigError
from ladd.generation import Request, generate
from ladd.report.labels import families
from tests.builders import suite_values
from tests.stages.tiny import make_suite, run_here

SAMPLER = '''
"""Remasking: before a step, revealed tokens are masked again with a probability (ReMDM, Wang et al., 2025)."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ladd.config import SweepConfig
from ladd.config.blocks import Fraction
from ladd.samplers.ancestral import Ancestral


class RemaskingSettings(SweepConfig):
    remask: Fraction = 0.2


@dataclass(frozen=True, kw_only=True)
class Remasking(Ancestral):
    name: ClassVar[str] = "remasking"
    Settings: ClassVar[type[SweepConfig]] = RemaskingSettings
    line: ClassVar[str] = ":"

    remask: float

    def update(self, state, step):
        if step.index and step.index < self.token_steps - 1:
            uniform = state.draws["token"].at(step.index).uniform("remask", state.tokens.shape[1])
            again = state.free & (uniform < self.remask)
            state = replace(state, tokens=state.tokens.masked_fill(again, self.source.tokens.process.vocabulary))
        return super().update(state, step)
'''

PROCESS = '''
"""Block masking: neighbouring tokens are masked in pairs."""

from ladd.diffusion.masked import MaskedProcess


class PairwiseMasking(MaskedProcess):
    def draw_mask(self, t, noise, positions):
        pairs = noise.uniform("mask", -(-positions // 2)) >= self.schedule.alpha(t)[:, None]
        return pairs.repeat_interleave(2, dim=1)[:, :positions]

    def wanted(self, state, step, noise):
        pairs = noise.uniform("reveal", -(-state.shape[1] // 2)) < self.reveal_probability(step.t, step.s)
        return (state == self.mask_id) & pairs.repeat_interleave(2, dim=1)[:, : state.shape[1]]
'''

SYSTEM = '''
"""MDLM whose tokens are masked in pairs."""

from typing import Literal

from ladd.config.blocks import TokenChannelConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.systems.tokens import TokenDiffusion

from .masking import PairwiseMasking


class PairsSettings(SystemSettings):
    family: Literal["pairs"]
    token_channel: TokenChannelConfig


class Pairs(TokenDiffusion):
    name = "pairs"
    Settings = PairsSettings
    label, colour = "Pairs", "#56B4E9"

    def token_process(self):
        return PairwiseMasking(DISCRETE_SCHEDULES[self.settings.token_channel.schedule], self.vocabulary)
'''
FILES = {"remasking.py": SAMPLER, "masking.py": PROCESS, "pairs.py": SYSTEM}


def values() -> dict:
    """The small suite: a model of the new system, one of uniform diffusion, and one more sampler of MDLM."""
    made = suite_values()
    mdlm, sweep = made["baselines"]["mdlm"], made["sweeps"]["mdlm"]
    timed = mdlm["token_channel"] | {"timed": True}
    made["baselines"] |= {
        "pairs": mdlm | {"family": "pairs"},
        "uniform": mdlm | {"family": "mdlm-uniform", "token_channel": timed},
    }
    made["sweeps"] |= {
        "pairs": sweep | {"model": "pairs"},
        "uniform": sweep | {"model": "uniform"},
        "remasked": sweep | {"schedule": "remasking", "remask": 0.5},
    }
    return made


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = make_suite(repository, repository / "suites" / "own", values() | {"suite": "own"}, FILES)
        patch.chdir(folder)
        yield folder


def test_files_of_a_suite_are_run_from_its_parameters_to_samples_and_table(suite):
    run_here("data", "saw")
    for key in ("mdlm", "pairs", "uniform"):
        run_here("baseline", key)
        run_here("bound", key)
    for key in ("pairs", "uniform", "remasked"):
        run_here("sample", key)
        run_here("measure", key)
        table = pl.read_csv(f"results/evaluate/{key}.csv")
        assert {"token_elbo", "swd"} <= set(table["metric"])
        assert table["value"].is_finite().all()
    rows = pl.read_csv("results/evaluate/remasked.csv")
    assert (set(rows["family"]), set(rows["schedule"])) == ({"mdlm"}, {"remasking"})
    assert json.loads(Path("artifacts/samples/uniform/passes.json").read_text())["steps-8-temperature-1-seed-0"] == {
        "token_passes": 8.0,
        "latent_passes": 0.0,
    }
    assert (pl.read_csv("results/loss_by_time/pairs.csv").height, families()["pairs"]) == (0, "Pairs")


def test_text_is_generated_by_what_the_suite_brings(suite):
    for name in ("pairs", "uniform", "remasked"):
        (sample,) = generate(load_suite(), Request(name))
        assert len(sample.tokens) == 8
        assert set(sample.tokens) <= {0, 1}
    prompted = generate(load_suite(), Request("uniform", count=20, prompt="0101"))
    assert {tuple(sample.tokens[:4]) for sample in prompted} == {(0, 1, 0, 1)}


def test_noise_does_not_depend_on_the_order_of_the_files(suite):
    assert torch.equal(*(torch.tensor(generate(load_suite(), Request("remasked"))[0].tokens) for _ in range(2)))


def test_unknown_settings_of_a_suites_own_sampler_are_refused(suite):
    text = Path("params.yaml").read_text()
    try:
        Path("params.yaml").write_text(text.replace("remask: 0.5", "remask: 1.5"))
        with pytest.raises(ConfigError, match=r"sweeps\.remasked\.remask: 1\.5"):
            load_suite()
    finally:
        Path("params.yaml").write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("broken.py", "import nothing_of_that_name", ["broken.py cannot be imported", "nothing_of_that_name"]),
        ("twin.py", SYSTEM, ["'pairs' is the name of another System", "pairs.py", "rename one"]),
    ],
)
def test_modules_that_cannot_register_are_named(suite, name, text, words):
    path = suite / name
    path.write_text(text)
    try:
        with pytest.raises(ConfigError) as error:
            load_suite()
    finally:
        path.unlink()
    assert [word for word in words if word not in str(error.value)] == []


def test_unknown_family_names_the_key_and_what_is_registered(suite):
    text = Path("params.yaml").read_text()
    try:
        Path("params.yaml").write_text(text.replace("family: pairs", "family: nothing"))
        with pytest.raises(ConfigError, match=r"baselines\.pairs\.family: 'nothing': .*'mdlm-uniform', 'pairs'"):
            load_suite()
    finally:
        Path("params.yaml").write_text(text)


def test_files_are_as_short_as_an_addition_may_be():
    most = {"remasking.py": 60, "masking.py": 80, "pairs.py": 150}
    assert all(len(text.splitlines()) <= most[name] for name, text in FILES.items())
