"""Guidance by latents: known laws of a guided step, what it costs, and latents at a norm."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.uniform import UniformProcess
from ladd.errors import SamplingError
from ladd.samplers.base import Sampler, Samples, sample
from ladd.samplers.latents_along import LatentsAlong
from ladd.samplers.latents_first import LatentsFirst
from ladd.samplers.latents_guided import (
    Guidance,
    GuidedAlongSettings,
    GuidedHead,
    GuidedSettings,
    GuidedVectors,
    LatentsAlongGuided,
    LatentsFirstGuided,
    guided_source,
)
from tests.samplers.known_answers import (
    LENGTH,
    LINEAR,
    MASK,
    NEUTRAL,
    ONES,
    PRIOR,
    TOKENS,
    VOCABULARY,
    WIDTH,
    Tables,
    all_masked,
    chi_square_excess,
    mixture,
    noise,
    pair_source,
    partly_given,
    product_law,
    record,
)
from tests.samplers.test_latents_first import COUNT, SOME, exact_source, model_of, settings

LATENTS = pytest.mark.parametrize("latents", ["discrete", "continuous"])
KINDS = pytest.mark.parametrize(
    ("kind", "plain"), [(LatentsFirstGuided, LatentsFirst), (LatentsAlongGuided, LatentsAlong)]
)
VALUES = NEUTRAL | {"guidance": 1.0, "latent_guidance": 1.0, "between": [0.0, 1.0], "latent_temperature": None}
VALUES |= {"latent_norm": None, "tokens": settings("latents-first", {"schedule": "ancestral-truncated"}).tokens}
MARGINAL = (PRIOR[:, None] * ONES).sum(dim=0)  # P(x_i = 1) of LAW


def source(latents: str, denoiser: nn.Module):
    schedule = "linear" if latents == "discrete" else "sqrt"
    process = MaskedProcess(LINEAR, VOCABULARY)
    return pair_source(
        model_of(denoiser), latents, (LENGTH, WIDTH), process=process, schedule=schedule, share_rows=False
    )


def drawn(kind: type[Sampler], latents: str, x: torch.Tensor, denoiser=None, tokens="ancestral-truncated", **changes):
    values = VALUES | {"token_steps": 5, "latent_steps": 3 if issubclass(kind, LatentsFirst) else 0}
    values |= {"tokens": settings("latents-first", {"schedule": tokens}).tokens} | changes
    return sample(kind.of(source(latents, denoiser or tables()), values), x, noise(len(x)))


def tables() -> Tables:
    return Tables(TOKENS, VOCABULARY, LENGTH, WIDTH)


@LATENTS
@KINDS
@pytest.mark.parametrize("changes", [{"guidance": 1.0}, {"guidance": 3.0, "between": [0.0, 0.0]}])
def test_without_guidance_they_are_the_plain_samplers_bit_by_bit(kind, plain, latents, changes):
    x = partly_given(SOME)
    assert all(
        torch.equal(a, b) for a, b in zip(drawn(kind, latents, x, **changes), drawn(plain, latents, x), strict=True)
    )


@LATENTS
@KINDS
@pytest.mark.parametrize("tokens", ["ancestral-truncated", "remdm-conf"])
def test_every_pass_is_charged_and_given_tokens_stay(kind, plain, latents, tokens):
    denoiser, x = tables(), partly_given(SOME)
    calls = record(denoiser)
    found = drawn(kind, latents, x, denoiser, tokens, guidance=2.0)
    assert int(found.token_passes.sum()) == sum(len(each) for each, *_ in calls)
    assert torch.equal(found.tokens[x != MASK], x[x != MASK])
    assert (found.tokens < MASK).all()
    once = drawn(plain, latents, x, tokens=tokens)
    assert not torch.equal(found.tokens, once.tokens)


@LATENTS
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_pass_for_guided_latents_is_charged(latents, guidance):
    denoiser, x = tables(), partly_given(SOME)
    calls = record(denoiser)
    weights = {"guidance": guidance, "latent_guidance": 2.0, "between": [0.3, 1.0]}
    found = drawn(LatentsAlongGuided, latents, x, denoiser, **weights)
    assert int(found.token_passes.sum()) == sum(len(each) for each, *_ in calls)
    assert any((each == MASK).all() and (t_z < 1).all() for each, _, _, t_z, *_ in calls[1:])
    assert torch.equal(found.tokens[x != MASK], x[x != MASK])
    unguided = drawn(LatentsAlongGuided, latents, x, guidance=guidance, between=[0.3, 1.0])
    assert not torch.equal(found.tokens, unguided.tokens)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_a_guided_code_has_the_normalised_power_law(weight):
    """p(z | x_t)^w p(z)^(1 - w) of the code, drawn in one step with two tokens given."""
    x = all_masked(COUNT, 4, 2)
    x[:, 0], x[:, 2] = 1, 0
    codes = []
    sampler = LatentsAlongGuided.of(exact_source(), VALUES | {"token_steps": 1, "latent_guidance": weight})
    sample(sampler, x, noise(COUNT), lambda step, state: codes.append(state.latents.flatten()))
    told = PRIOR * ONES[:, 0] * (1 - ONES[:, 2])
    law = (told / told.sum()) ** weight * PRIOR ** (1 - weight)
    expected, shares = law / law.sum(), torch.bincount(codes[-1], minlength=3) / COUNT
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / COUNT).sqrt()).all()
    assert (shares - told / told.sum()).abs().max() > 0.02  # far from the law without guidance


def test_tokens_under_uniform_noise_are_guided_by_their_law():
    """Not as vectors are: the head gives normalised log probabilities, of V outputs."""
    pair = source("continuous", tables())
    pair = replace(pair, tokens=replace(pair.tokens, process=UniformProcess(LINEAR, VOCABULARY)))
    t, z = torch.full((4,), 0.5, dtype=torch.float64), torch.ones(4, LENGTH, WIDTH)
    tokens, _ = guided_source(pair, Guidance(2.0, 1.0, [0.0, 1.0])).predict(all_masked(4), z, t, t)
    assert isinstance(tokens.head, GuidedHead)
    assert tokens.head.out_features == VOCABULARY


def test_guided_vectors_are_combined():
    head, hidden = GuidedVectors(nn.Linear(2, 3), 2.0), torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(head(hidden), 2 * head.head(hidden[:, :2]) - head.head(hidden[:, 2:]))


def test_tokens_that_are_never_masked_guide_no_latents():
    pair = source("continuous", tables())
    pair = replace(pair, tokens=replace(pair.tokens, process=UniformProcess(LINEAR, VOCABULARY)))
    with pytest.raises(SamplingError, match=r"latent_guidance 2\.0: the tokens of this model are never masked"):
        LatentsAlongGuided.of(pair, VALUES | {"token_steps": 2, "latent_guidance": 2.0})


@pytest.mark.parametrize("tokens", ["remdm-cap", "first-hitting"])
def test_passes_outside_of_the_interval_are_made_once(tokens):
    """Also of a sampler that takes every sample through times of its own, where some are guided in a step."""
    denoiser, x = tables(), all_masked(12)
    calls = record(denoiser)
    found = drawn(LatentsFirstGuided, "discrete", x, denoiser, tokens, guidance=2.0, between=[0.3, 0.7])
    assert int(found.token_passes.sum()) == sum(len(each) for each, *_ in calls)
    in_tokens = [(t_x, *masked) for _, _, t_x, _, *masked in calls if (t_x < 1).any()]
    null = [t_x for t_x, *masked in in_tokens if masked and masked[0].all()]
    assert null
    assert all(((t_x >= 0.3) & (t_x <= 0.7)).all() for t_x in null)


@LATENTS
@pytest.mark.parametrize(
    ("kind", "latent_guidance"), [(LatentsFirstGuided, 1.0), (LatentsAlongGuided, 1.0), (LatentsAlongGuided, 0.5)]
)
def test_a_sample_does_not_depend_on_its_batch(kind, latent_guidance, latents):
    given = partly_given(SOME)
    changes = {"guidance": 2.0, "latent_guidance": latent_guidance, "between": [0.3, 1.0], "tokens": "remdm-conf"}
    whole, part = (drawn(kind, latents, x, **changes) for x in (given, given[:5]))
    assert all(torch.equal(a, b[:5]) for a, b in zip(part, whole, strict=True))


def exact(guidance: float, code: int | None = None, **changes) -> Samples:
    """Of the mixture, with one latent step and one token step; or given one code."""
    sampler = LatentsFirstGuided.of(exact_source(), VALUES | {"latent_steps": 1, "guidance": guidance} | changes)
    x = all_masked(COUNT, 4, 2)
    state = sampler.initialise(x, noise(COUNT))
    for step in sampler.steps(x):
        if code is not None and not state.memory.latent_steps:
            state.latents.fill_(code)
        state = sampler.update(state, step)
    return sampler.finalise(state)


@pytest.mark.parametrize("guidance", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("code", [0, 2])
def test_a_guided_step_has_the_normalised_power_law(guidance, code):
    """p(x | code)^w p(x)^(1 - w) of every token, as one step draws them independently."""
    ones, others = (
        p**guidance * q ** (1 - guidance) for p, q in [(ONES[code], MARGINAL), (1 - ONES[code], 1 - MARGINAL)]
    )
    expected, shares = ones / (ones + others), exact(guidance, code).tokens.double().mean(dim=0)
    assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / COUNT).sqrt()).all()
    assert (shares - ONES[code]).abs().min() > 0.02  # far from the law without guidance


def test_weight_zero_leaves_the_latents_out():
    assert abs(chi_square_excess(exact(0.0).tokens, product_law(MARGINAL))) < 5


def test_weight_one_is_the_law_of_the_data():
    assert abs(chi_square_excess(exact(1.0).tokens, mixture(PRIOR, ONES).of_tokens())) < 5


def test_tokens_that_a_law_excludes():
    """Impossible given the latents: never. Impossible without them alone: finite, whatever the weight."""
    head = GuidedHead(nn.Identity(), 3, 2.0)
    told, untold = torch.tensor([[0.5, 0.5, 0.0]]).log(), torch.tensor([[0.5, 0.0, 0.5]]).log()
    guided = head(torch.cat([told, untold], dim=1))
    assert guided[0, 2] == -math.inf
    assert torch.isfinite(guided[0, :2]).all()
    assert guided[0, 1] > guided[0, 0]
    assert head.out_features == 3
    assert GuidedHead(nn.Identity(), 3, 0.0)(torch.cat([told, untold], dim=1)).isfinite().tolist() == [
        [True, False, True]
    ]


def test_null_latents_are_those_of_training():
    """Codes that are masked at t_z = 1; vectors that are 0 at t_z = 0."""
    for latents, time in (("discrete", 1.0), ("continuous", 0.0)):
        denoiser = tables()
        calls = record(denoiser)
        pair, t = source(latents, denoiser), torch.full((4,), 0.5, dtype=torch.float64)
        z = torch.zeros(4, LENGTH, dtype=torch.long) if latents == "discrete" else torch.ones(4, LENGTH, WIDTH)
        guided_source(pair, Guidance(2.0, 1.0, [0.0, 1.0])).predict(all_masked(4), z, t, t)
        _, null, t_x, t_z, *masked = calls[1]
        assert (t_x == 0.5).all()
        assert (t_z == time).all()
        assert masked[0].all() if masked else (null == 0).all()


def test_latents_are_given_their_norm_once_they_are_drawn():
    sampler = LatentsFirstGuided.of(
        source("continuous", tables()),
        NEUTRAL
        | {"latent_temperature": None, "guidance": 1.0, "between": [0.0, 1.0], "latent_norm": 2.5, "latent_steps": 3}
        | {"tokens": settings("latents-first", {"schedule": "first-hitting"}).tokens, "token_steps": 2},
    )
    x, norms = all_masked(4), []
    state = sampler.initialise(x, noise(4))
    for step in sampler.steps(x):
        before, state = state.latents, sampler.update(state, step)
        norms.append(state.latents.norm(dim=-1))
    assert (norms[1] - 2.5).abs().min() > 0.01
    for each in norms[2:]:
        assert torch.allclose(each, torch.full_like(each, 2.5))
    assert torch.equal(before, state.latents)


def test_codes_have_no_norm():
    with pytest.raises(SamplingError, match=r"latent_norm 2\.0: the latents of this model are codes"):
        drawn(LatentsFirstGuided, "discrete", all_masked(2), latent_norm=2.0)


def test_an_interval_that_is_turned_round_is_an_error():
    values = {"model": "m", "data": "d", "token_steps": [4], "samples": 4, "seeds": [0], "schedule": "x"}
    tokens = {"schedule": "first-hitting"}
    with pytest.raises(ValueError, match=r"between \[0\.8, 0\.2\] must be \[low, high\]"):
        GuidedSettings.model_validate(values | {"tokens": tokens, "between": [0.8, 0.2]})


def test_samples_at_times_of_their_own_are_refused_along_with_latents():
    values = {"model": "m", "data": "d", "token_steps": [4], "samples": 4, "seeds": [0]}
    sweep = GuidedAlongSettings.model_validate(
        values | {"schedule": "latents-along-guided", "tokens": {"schedule": "first-hitting"}}
    )
    with pytest.raises(ValueError, match="take schedule 'latents-first'"):
        LatentsAlongGuided.check(sweep)
