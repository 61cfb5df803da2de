"""The filters of docs/TRACKING.md, as they stand there, on a small store."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ladd.config import Suite
from ladd.stages.planned import keys_of
from ladd.stages.tracked import TRACKED, describe_run
from ladd.tracking import Experiment, TrackedRun
from tests.builders import suite_values

PAGE = (Path(__file__).resolve().parents[2] / "docs/TRACKING.md").read_text()
FILTERS = dict(re.findall(r"<!-- test: filter (\w+) -->\n```\n(.*?)\n```", PAGE, re.DOTALL))


def ablation() -> Suite:
    """L in {1, 2}, K in {16, 64}, both schedules; a continuous model and the baselines beside them."""
    values = suite_values()
    latents, sweep = values["latents"].pop("discrete"), values["sweeps"]
    for name in ("di-joint", "di-seq"):
        del values["sweeps"][name]
    model = values["models"].pop("di")
    for length in (1, 2):
        for codes in (16, 64):
            key = f"l{length}-k{codes}"
            values["latents"][key] = latents | {"length": length, "codebook": codes}
            values["models"][key] = model | {"latents": key}
            sweep[f"{key}-joint"] = sweep["mdlm"] | {"model": key, "schedule": "joint"}
            sweep[f"{key}-seq"] = sweep["mdlm"] | {"model": key, "schedule": "sequential", "latent_steps": 2}
    return Suite.model_validate(values)


@pytest.fixture(scope="module")
def experiment(root) -> Experiment:
    """Runs of every tracked stage, and an older run of each."""
    suite, current = ablation(), {}
    for name in TRACKED:
        for key in keys_of(suite, name):
            title, _, described = describe_run(suite, name, key)
            current[f"{name}@{key}"] = f"{name} {key}"
            for fingerprint in (f"{name} {key}", f"older {name} {key}"):
                tags = {"dvc.stage": f"{name}@{key}", **described}
                TrackedRun(root, suite="tiny", name=title, fingerprint=fingerprint, parameters={}, tags=tags)
    experiment = Experiment(root, "tiny")
    experiment.mark(current)
    return experiment


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("L", ["l1-k16-seq", "l2-k16-seq"]),
        ("K", ["l1-k16-seq", "l1-k64-seq"]),
        ("schedule", ["l1-k16-joint", "l1-k16-seq"]),
        (
            "family",
            ["co-seq", *(f"l{n}-k{k}-{how}" for n in (1, 2) for k in (16, 64) for how in ("joint", "seq")), "mdlm"],
        ),
        ("latents", ["l1-k16", "l1-k64", "l2-k16", "l2-k64"]),
    ],
)
def test_filter_finds_the_runs_that_answer_the_question(experiment, question, expected):
    runs = experiment.client.search_runs([experiment.id], FILTERS[question])
    assert sorted(run.data.tags["dvc.stage"].split("@")[1] for run in runs) == expected
    assert {run.data.tags["ladd.state"] for run in runs} == {"current"}


def test_every_filter_of_the_page_is_tried():
    assert set(FILTERS) == {"L", "K", "schedule", "family", "latents"}
    assert PAGE.count("```") == 2 * len(FILTERS)


def test_runs_that_are_compared_differ_in_one_tag(experiment):
    for tag, varied in (("L", "L"), ("K", "K"), ("schedule", "schedule")):
        runs = experiment.client.search_runs([experiment.id], FILTERS[tag])
        named = ("family", "L", "K", "w", "schedule")
        different = {name for name in named if len({run.data.tags[name] for run in runs}) > 1}
        assert different == {varied}
