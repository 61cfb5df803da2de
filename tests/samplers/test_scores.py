"""Likelihoods along deterministic orders: they sum to one, and samples come at their rate."""

import math

import pytest
import torch

from ladd.errors import SamplingError
from ladd.samplers.latents_first import LatentsFirst
from ladd.samplers.scores import has_scores, scores
from ladd.tasks.shidoku.grids import ShidokuReference
from tests.samplers.known_answers import (
    ONES,
    PRIOR,
    ExactDenoiser,
    ExactTokenDenoiser,
    Law,
    all_masked,
    chi_square_excess,
    every_sequence,
    mixture,
    noise,
    pair_source,
)
from tests.samplers.test_latents_first import LINEAR, NEUTRAL, MaskedProcess, model_of, settings
from tests.samplers.test_surest_first import SCORES, surest
from tests.samplers.token_cases import CASES, make, path_law, run, soft_tables

TOKENS, VALUES, COUNT = 4, 3, 8000
EVERY = every_sequence(TOKENS, VALUES)
ORDERS = {
    "surest-first": [{"by": by} for by in ("confidence", "margin", "entropy")],
    "semi-autoregressive": [{"block": 1}, {"block": 2, "by": "entropy"}],
    "entropy-bounded": [{"gamma": 0.0}, {"gamma": 0.8}, {"gamma": 2.0, "by": "margin"}],
}
CASE = [(case, own) for case, several in ORDERS.items() for own in several]


@pytest.mark.parametrize(("case", "own"), CASE)
@pytest.mark.parametrize("changes", [{"token_steps": 4}, {"token_steps": 2}, {"token_steps": 3, "temperature": 0.6}])
def test_they_sum_to_one_over_all_sequences(case, own, changes):
    log_p = scores(make(case, soft_tables(TOKENS, VALUES, 1.0), VALUES, **own, **changes), EVERY, batch=20)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert log_p.exp().std() > 0.001  # far from uniform


def test_truncation_is_counted_as_it_is_drawn():
    sampler = make("surest-first", soft_tables(TOKENS, VALUES, 1.0), VALUES, token_steps=4, top_p=0.7)
    log_p = scores(sampler, EVERY)
    assert log_p.isneginf().any()
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("steps", "size"), [(3, 1), (2, 2)])
def test_they_are_the_enumerated_products(steps, size):
    denoiser = soft_tables(3, 3, 0.5)
    for by, score in SCORES.items():
        exact = path_law(denoiser, 3, 3, surest(score, size))
        log_p = scores(make("surest-first", denoiser, 3, token_steps=steps, by=by), every_sequence(3, 3))
        assert torch.allclose(log_p.exp(), exact, atol=1e-12)


@pytest.mark.parametrize(("case", "own"), [("entropy-bounded", {"gamma": 0.8}), ("surest-first", {"token_steps": 2})])
def test_samples_come_at_their_rate(case, own):
    denoiser, settings_ = soft_tables(TOKENS, 2, 1.0), {"token_steps": 4} | own
    law = scores(make(case, denoiser, 2, **settings_), every_sequence(TOKENS)).exp()
    x = run(case, denoiser, all_masked(COUNT, TOKENS, 2), noise(COUNT), 2, **settings_).tokens
    assert abs(chi_square_excess(x, law)) < 5


def test_of_an_exact_network_they_are_the_law_itself_with_a_token_per_step():
    law = mixture(PRIOR, ONES)
    log_p = scores(make("surest-first", ExactTokenDenoiser(law), 2, token_steps=4), every_sequence(4))
    assert torch.allclose(log_p.exp(), law.of_tokens(), atol=1e-12)


def test_given_tokens_are_conditioned_on():
    law = mixture(PRIOR, ONES)
    sampler = make("surest-first", ExactTokenDenoiser(law), 2, token_steps=4)
    given = torch.tensor([False, True, False, False])
    x, p = every_sequence(4), law.of_tokens()
    of_given = torch.tensor([p[x[:, 1] == value].sum() for value in (0, 1)])
    assert torch.allclose(scores(sampler, x, given=given).exp(), p / of_given[x[:, 1]], atol=1e-12)


def test_latents_are_conditioned_on():
    law = mixture(PRIOR, ONES)
    sampler = first(law, {"schedule": "entropy-bounded", "gamma": 0.0})
    x, code = every_sequence(4), 1
    log_p = scores(sampler, x, latents=torch.full((len(x), 1), code))
    expected = torch.where(x == 1, ONES[code], 1 - ONES[code]).log().sum(dim=1)
    assert torch.allclose(log_p, expected, atol=1e-12)
    with pytest.raises(SamplingError, match="name the latents of every sequence"):
        scores(sampler, x)


def first(law: Law, tokens: dict) -> LatentsFirst:
    source = pair_source(model_of(ExactDenoiser(law), 3), "discrete", (1, 3), process=MaskedProcess(LINEAR, 2))
    values = NEUTRAL | {"latent_temperature": None, "latent_steps": 1, "token_steps": 4}
    return LatentsFirst.of(source, values | {"tokens": settings("latents-first", tokens).tokens})


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][0] not in ORDERS or "spread" in CASES[case][1]])
def test_a_random_order_has_none(case):
    sampler = make(case, soft_tables(TOKENS, VALUES), VALUES)
    assert not has_scores(sampler)
    with pytest.raises(SamplingError, match="its order is random"):
        scores(sampler, EVERY)


def test_latents_where_there_are_none_are_an_error():
    sampler = make("surest-first", soft_tables(TOKENS, VALUES), VALUES)
    with pytest.raises(SamplingError, match="leave latents out"):
        scores(sampler, EVERY, latents=torch.zeros(len(EVERY), 1))


def test_an_impossible_sequence_has_none_of_the_probability():
    possible = every_sequence(3)[4:]
    denoiser = ShidokuReference(possible.numpy(), vocabulary=2)
    log_p = scores(make("surest-first", denoiser, 2, token_steps=3), every_sequence(3))
    assert log_p[:4].isneginf().all()
    assert torch.allclose(log_p[4:], torch.tensor(math.log(0.25), dtype=torch.float64))
