"""Samplers with settings of their own, and samples that are watched."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from ladd.errors import ConfigError
from ladd.generation import Request, generate
from ladd.generation.settings import sweep_of
from ladd.generation.watch import with_masks
from tests.generation.suites import tokens_of


@pytest.mark.parametrize(
    ("name", "schedule", "own"),
    [
        ("baselines.mdlm", "remdm-conf", {"remask": 0.1}),
        ("baselines.mdlm", "first-hitting", {}),
        ("di", "latents-first", {"tokens.schedule": "entropy-bounded", "tokens.gamma": 0.5}),
        ("co", "latents-first", {"tokens.schedule": "first-hitting"}),
        ("co", "latents-along", {"tokens.schedule": "remdm-cap", "latent_temperature": 2}),
    ],
)
def test_a_model_is_drawn_from_by_any_sampler_that_fits(suite, name, schedule, own):
    options = {"schedule": schedule, "token_steps": 8}
    drawn = generate(suite, Request(name, options=options, own=own, count=9))
    assert {token for sample in drawn for token in sample.tokens} == {0, 1}
    assert drawn[0].settings["schedule"] == schedule
    first = {key: value for key, value in own.items() if "." not in key}
    assert first.items() <= drawn[0].settings.items()
    nested = {key.removeprefix("tokens."): value for key, value in own.items() if "." in key}
    assert nested.items() <= drawn[0].settings.get("tokens", {}).items()
    np.testing.assert_array_equal(
        tokens_of(suite, name, options=options, own=own, count=3), [s.tokens for s in drawn[:3]]
    )


@pytest.mark.parametrize(
    ("name", "schedule", "own", "message"),
    [
        ("mdlm", "remdm-cap", {"gamma": 1}, r"--set gamma: schedule 'remdm-cap' takes min_p, remask, top_p"),
        ("baselines.mdlm", "none", {"remask": 1}, r"--set remask: schedule 'none' has none of its own"),
        ("mdlm", "remdm-cap", {"remask": 2}, r"remask: 2.*less than or equal to 1"),
        ("di", "latents-first", {}, r"tokens: Field required"),
        ("di", "latents-first", {"tokens.schedule": "joint"}, r"tokens.*known are \['ancestral-truncated'"),
        ("di", "latents-along", {"tokens.schedule": "first-hitting"}, r"take schedule 'latents-first'"),
    ],
)
def test_settings_that_do_not_fit_are_errors(suite, name, schedule, own, message):
    with pytest.raises(ConfigError) as error:
        sweep_of(suite, name, {"schedule": schedule}, 0, own)
    assert re.search(message, str(error.value), re.DOTALL | re.IGNORECASE), str(error.value)


def test_a_watched_sample_ends_as_the_one_that_is_printed(suite):
    lines: list[str] = []
    request = Request("baselines.mdlm", options={"schedule": "first-hitting"}, count=2, seed=3)
    first, _ = generate(suite, request, lines.append)
    texts = [line.partition(": ")[2] for line in lines]
    assert [text.count("_") for text in texts] == list(range(7, -1, -1))
    assert texts[-1] == first.text
    assert lines[0].startswith("step 1, t 1.000 to 0.875, passes 1: ")
    for before, after in itertools.pairwise(texts):
        assert all(a in ("_", b) for a, b in zip(before, after, strict=True))


def test_masks_stand_for_one_token_each():
    assert with_masks([5, 5, 1, 2, 5, 3], 5, lambda part: "".join(f"<{token}>" for token in part)) == "__<1><2>_<3>"
