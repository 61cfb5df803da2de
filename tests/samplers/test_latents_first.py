"""Token samplers with latents that are drawn before them or along with them."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.samplers.base import Sampler, Samples, sample
from ladd.samplers.joint import Joint
from ladd.samplers.latents_along import LatentsAlong
from ladd.samplers.latents_first import LatentsFirst
from ladd.samplers.nested import NestedSettings
from ladd.samplers.sequential import Sequential
from ladd.samplers.sources import PairSource
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
    ExactDenoiser,
    PullToZero,
    Tables,
    all_masked,
    chi_square_excess,
    mixture,
    noise,
    one_hot_codebook,
    pair_source,
    partly_given,
    record,
)
from tests.samplers.token_cases import CASES, UNIFORM, kinds

MASKED = [case for case in CASES if case not in UNIFORM]
ON_GRID = [case for case in MASKED if kinds()[CASES[case][0]].on_grid]
LATENTS = pytest.mark.parametrize("latents", ["discrete", "continuous"])
SOME = 12


def settings(schedule: str, tokens: dict, **changes):
    values = {"model": "m", "data": "d", "token_steps": [4], "samples": 4, "seeds": [0]}
    return NestedSettings.model_validate(values | {"schedule": schedule, "tokens": tokens} | changes)


def tokens_of(case: str) -> dict:
    name, own = CASES[case]
    return {"schedule": name, **own}


def model_of(denoiser: nn.Module, width: int = WIDTH) -> SimpleNamespace:
    return SimpleNamespace(denoiser=denoiser, codebook=one_hot_codebook(width), prior=PullToZero())


def drawn(kind: type[Sampler], latents: str, x: torch.Tensor, tokens: dict | None, denoiser=None, **changes) -> Samples:
    schedule = "linear" if latents == "discrete" else "sqrt"
    process = MaskedProcess(LINEAR, VOCABULARY)
    model = model_of(denoiser or Tables(TOKENS, VOCABULARY, LENGTH, WIDTH))
    source = pair_source(model, latents, (LENGTH, WIDTH), process=process, schedule=schedule, share_rows=False)
    steps = 3 if issubclass(kind, Sequential) else 0
    values = NEUTRAL | {"latent_steps": steps, "latent_temperature": None, "eta": 0.7, "token_steps": 5} | changes
    if tokens is not None:  # as a sweep has them, all defaults filled in
        values["tokens"] = settings(kind.name, tokens).model_dump()["tokens"]
    return sample(kind.of(source, values), x, noise(len(x)))


@LATENTS
@pytest.mark.parametrize(("kind", "plain"), [(LatentsFirst, Sequential), (LatentsAlong, Joint)])
@pytest.mark.parametrize("changes", [{}, {"token_lag": 2.0, "temperature": 0.7, "token_steps": 9}])
def test_with_ancestral_tokens_they_are_the_plain_schedules_bit_by_bit(kind, plain, latents, changes):
    if plain is Joint and "token_lag" in changes:
        changes = changes | {"latent_lead": 3.0}
    ours = drawn(kind, latents, partly_given(SOME), {"schedule": "ancestral-truncated"}, **changes)
    theirs = drawn(plain, latents, partly_given(SOME), None, **changes)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert len(ours.tokens.unique(dim=0)) == SOME


@LATENTS
@pytest.mark.parametrize(
    ("kind", "case"), [*((LatentsFirst, case) for case in MASKED), *((LatentsAlong, case) for case in ON_GRID)]
)
def test_given_tokens_stay_and_every_pass_is_charged(kind, case, latents):
    denoiser, given = Tables(TOKENS, VOCABULARY, LENGTH, WIDTH), partly_given(SOME)
    calls = record(denoiser)
    x = drawn(kind, latents, given, tokens_of(case), denoiser)
    assert torch.equal(x.tokens[given != MASK], given[given != MASK])
    assert (x.tokens < MASK).all()
    assert int(x.token_passes.sum()) == sum(len(each) for each, *_ in calls) > 0
    prior = kind is LatentsFirst and latents == "continuous"
    assert (x.latent_passes == (3 if prior else 0)).all()
    if kind is LatentsFirst:
        assert all((t_z == 0).all() for _, _, t_x, t_z, *masked in calls if not masked)


@LATENTS
@pytest.mark.parametrize("kind", [LatentsFirst, LatentsAlong])
def test_a_sample_does_not_depend_on_its_batch(kind, latents):
    given, tokens = partly_given(SOME), tokens_of("remdm-conf")
    whole = drawn(kind, latents, given, tokens)
    part = drawn(kind, latents, given[:5], tokens)
    assert all(torch.equal(a, b[:5]) for a, b in zip(part, whole, strict=True))


LAW, COUNT = mixture(PRIOR, ONES), 6000


def exact_source() -> PairSource:
    """Of the law."""
    return pair_source(model_of(ExactDenoiser(LAW), 3), "discrete", (1, 3), process=MaskedProcess(LINEAR, 2))


def exact(kind: type[Sampler], tokens: dict, **changes) -> torch.Tensor:
    values = NEUTRAL | {"latent_temperature": None, "tokens": settings(kind.name, tokens).tokens} | changes
    return sample(kind.of(exact_source(), values), all_masked(COUNT, 4, 2), noise(COUNT)).tokens


@pytest.mark.parametrize("case", ["surest-first", "entropy-bounded", "first-hitting", "remdm-cap", "psi"])
def test_latents_first_give_the_exact_law_with_few_passes(case):
    """Tokens are independent given the code, so any sampler of them is exact with any number of steps."""
    x = exact(LatentsFirst, tokens_of(case), token_steps=2, latent_steps=1)
    assert abs(chi_square_excess(x, LAW.of_tokens())) < 5


def test_latents_along_give_the_exact_law_with_many_steps():
    """Of 40: the error of a step falls with its length, and 6000 samples do not see what is left."""
    x = exact(LatentsAlong, tokens_of("remdm-cap"), token_steps=40)
    assert abs(chi_square_excess(x, LAW.of_tokens())) < 5


def test_codes_have_a_temperature_of_their_own():
    prior = PRIOR**4 / (PRIOR**4).sum()
    tokens = {"schedule": "ancestral-truncated"}
    x = exact(LatentsFirst, tokens, token_steps=1, latent_steps=1, latent_temperature=0.25)
    assert abs(chi_square_excess(x, mixture(prior, ONES).of_tokens())) < 5
    assert chi_square_excess(x, LAW.of_tokens()) > 50


@pytest.mark.parametrize("tokens", [{}, {"schedule": "joint"}, {"schedule": "nothing"}, "remdm-cap"])
def test_what_is_no_token_sampler_is_an_error_that_lists_them(tokens):
    with pytest.raises(
        ValidationError, match=r"known are \['ancestral-truncated'.*'semi-autoregressive', 'surest-first'\]"
    ):
        settings("latents-first", tokens)


def test_settings_of_another_sampler_are_an_error():
    with pytest.raises(ValidationError, match="remask"):
        settings("latents-first", {"schedule": "first-hitting", "remask": 0.1})


def test_samples_at_times_of_their_own_do_not_go_along_with_latents():
    tokens = {"schedule": "first-hitting"}
    with pytest.raises(ValueError, match=r"tokens.schedule: 'first-hitting' takes .* take schedule 'latents-first'"):
        LatentsAlong.check(settings("latents-along", tokens))
    LatentsAlong.check(settings("latents-along", {"schedule": "remdm-cap"}))
    LatentsFirst.check(settings("latents-first", tokens, latent_steps=2))
    with pytest.raises(ValueError, match=r"token_lag 2\.0: 'first-hitting' has no time grid"):
        LatentsFirst.check(settings("latents-first", tokens, latent_steps=2, token_lag=2.0))


def test_the_plan_hashes_the_token_sampler_too():
    assert settings("latents-first", {"schedule": "psi"}).parts == (kinds()["psi"],)
