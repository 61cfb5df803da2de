"""A denoiser of one's own draws as the samplers do, and from every kind of source."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import ladd
from ladd.diffusion.noise import SampleNoise
from ladd.errors import ConfigError
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample
from ladd.samplers.sources import Stream, TokenSource
from ladd.systems.base import System
from tests.builders import TableDenoiser, blocks, perturb, system

N, V = 4, 3


def test_function_is_masked_diffusion_with_the_linear_schedule():
    table = TableDenoiser(N, V)
    drawn = ladd.sample(table, 50, tokens=N, vocabulary=V, steps=3, seed=5, batch=7)
    from ladd.diffusion.masked import MaskedProcess
    from ladd.diffusion.process import Prediction
    from ladd.diffusion.schedules import DISCRETE_SCHEDULES

    stream = Stream(MaskedProcess(DISCRETE_SCHEDULES["linear"], V), "token", (N,))
    source = TokenSource(stream, lambda x, t: Prediction(table(x, t), torch.nn.Identity()))
    start = torch.full((50, N), V)
    expected = sample(Ancestral(source=source, token_steps=3), start, SampleNoise(5, torch.arange(50)))
    np.testing.assert_array_equal(drawn.tokens, expected.tokens.numpy())
    np.testing.assert_array_equal(drawn.token_passes, expected.token_passes.numpy())
    assert drawn.text == []


def test_given_tokens_stay_and_rows_have_their_own():
    given = np.array([[0, -1, 2], [-1, 1, 1]])
    tokens = ladd.sample(TableDenoiser(N, V), 2, tokens=N, vocabulary=V, steps=2, given=given).tokens
    assert (tokens[:, :3][given >= 0] == given[given >= 0]).all()


@pytest.mark.parametrize(
    ("key", "sampler", "settings"),
    [
        ("mdlm", None, {"steps": 4}),
        ("ar", None, {"tokens": 8}),
        ("di", "joint", {"steps": 4, "token_lag": 2.0}),
        ("di", "sequential", {"steps": 4, "latent_steps": 2}),
        ("co", "joint", {"steps": 4, "eta": 0.5}),
    ],
)
def test_sources_of_all_kinds_are_drawn_from(key, sampler, settings):
    config = blocks()
    made: System = system(config, key)
    model = perturb(made.build()).eval()
    seen = []
    drawn = ladd.sample(
        made.source_of(model), 6, sampler=sampler, **settings, callback=lambda step, state: seen.append(step)
    )
    assert drawn.tokens.shape == (6, 8)
    assert len(seen) >= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "ancestrl"}, r"'ancestrl' is unknown \(did you mean 'ancestral'\?\)"),
        ({"sampler": "joint"}, "'joint' does not draw from such a source"),
        ({"temprature": 2.0}, r"temprature: .*did you mean 'temperature'"),
        ({"tokens": None}, "tokens = None, vocabulary = 3: give both"),
        ({"given": np.zeros((2, 9), dtype=int)}, "at most N = 4"),
    ],
)
def test_wrong_calls_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        ladd.sample(TableDenoiser(N, V), 2, **{"tokens": N, "vocabulary": V} | options)
