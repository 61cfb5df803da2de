"""What holds for every token sampler."""

import itertools

import pytest
import torch
import yaml
from pydantic import ValidationError

from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.errors import SamplingError
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample
from ladd.samplers.joint import Joint
from ladd.samplers.tokens import TokenSampler
from ladd.systems.base import DEFAULT_SAMPLER, systems
from tests.samplers.known_answers import (
    TOKENS,
    VOCABULARY,
    ConstantHead,
    all_masked,
    noise,
    partly_given,
    record,
    token_source,
)
from tests.samplers.token_cases import CASES, UNIFORM, count_excess, kinds, make, process_of, run, soft_tables

every_case = pytest.mark.parametrize("case", CASES)
SOME = 24


def test_every_token_sampler_has_a_case():
    assert {name for name, _ in CASES.values()} == kinds().keys()


@pytest.mark.parametrize("key", ["mdlm", "mdlm-uniform"])
def test_models_without_latents_keep_ancestral_sampling_as_their_default(key):
    """It is the first that fits, in the order of the modules."""
    system = systems()[key]
    assert system.samplers(None)[DEFAULT_SAMPLER] is Ancestral


def test_models_with_latents_keep_the_joint_schedule_as_their_default():
    for key in ("di-ladd", "co-ladd"):
        assert next(iter(systems()[key].samplers(None).values())) is Joint


def drawn(case: str, x: torch.Tensor, noise_: SampleNoise, **settings):
    return run(case, soft_tables(TOKENS, VOCABULARY), x, noise_, VOCABULARY, **settings)


@every_case
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_given_tokens_stay_and_masked_ones_are_drawn(case, steps):
    given = partly_given(SOME)
    before = given.clone()
    x = drawn(case, given, noise(SOME), token_steps=steps).tokens
    free = given == VOCABULARY
    assert torch.equal(x[~free], given[~free])
    assert 0 <= x.min() <= x.max() < VOCABULARY
    assert len(x[free].unique()) == VOCABULARY
    assert torch.equal(given, before)


@pytest.mark.parametrize("case", [case for case in CASES if case not in UNIFORM])
@pytest.mark.parametrize("schedule", ["geometric", "cosine"])
def test_no_mask_is_left_under_other_schedules(case, schedule):
    x = drawn(case, all_masked(SOME), noise(SOME), token_steps=9, schedule=schedule).tokens
    assert x.max() < VOCABULARY


@every_case
@pytest.mark.parametrize("steps", [2, 5])
def test_a_sample_does_not_depend_on_its_batch(case, steps):
    given = partly_given(SOME)
    together = drawn(case, given, noise(SOME), token_steps=steps)
    for rows in (torch.tensor([7, 2, 11, 0, 1, 5]), torch.tensor([3])):
        for part, whole in zip(
            drawn(case, given[rows], SampleNoise(0, rows), token_steps=steps), together, strict=True
        ):
            assert torch.equal(part, whole[rows])


@every_case
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_passes_are_charged_to_the_samples_that_they_were_made_for(case, steps):
    """Each row's own pass is seen by the network, so all is counted; rows are told apart by their given first token."""
    denoiser = soft_tables(TOKENS, VOCABULARY)
    calls, given = record(denoiser), all_masked(VOCABULARY)
    given[:, 0] = torch.arange(VOCABULARY)
    samples = run(case, denoiser, given, noise(VOCABULARY), VOCABULARY, token_steps=steps, share_rows=False)
    rows = torch.cat([x[:, 0] for x, _ in calls])
    assert torch.equal(rows.bincount(minlength=VOCABULARY), samples.token_passes)
    assert 0 < samples.token_passes.min() <= samples.token_passes.max() <= steps
    assert (samples.latent_passes == 0).all()


@every_case
def test_a_complete_sample_needs_no_pass(case):
    given = partly_given(SOME)
    passes = drawn(case, given, noise(SOME), token_steps=4).token_passes
    assert passes[1] == 0 < passes[0]


@every_case
def test_shared_rows_change_no_sample(case):
    apart, together = (drawn(case, all_masked(9), noise(9), token_steps=3, share_rows=share) for share in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(apart, together, strict=True))


@every_case
def test_a_step_leaves_the_state_before_it_as_it_was(case):
    sampler, states = make(case, soft_tables(TOKENS, VOCABULARY), VOCABULARY, token_steps=5), []
    sample(sampler, all_masked(6), noise(6), lambda _, state: states.append((state, state.tokens.clone())))
    assert all(torch.equal(state.tokens, tokens) for state, tokens in states)
    assert all((b.token_passes >= a.token_passes).all() for (a, _), (b, _) in itertools.pairwise(states))


class Alike(torch.nn.Module):
    """A denoiser that says the same everywhere."""

    def __init__(self, logits: list[float]):
        super().__init__()
        self.token_head = ConstantHead(logits)

    def forward(self, x, t):
        return torch.zeros(*x.shape, 1, dtype=torch.float64)


@every_case
def test_temperature_and_truncation_hold_for_every_draw(case):
    logits, count = [0.0, 1.0, 2.0, 3.0], 400
    settings = {"token_steps": 4, "temperature": 1e-3, "top_p": 1.0, "min_p": 0.0}
    assert (run(case, Alike(logits), all_masked(9, 5, 4), noise(9), 4, **settings).tokens == 3).all()
    # p = .03, .09, .24, .64: top_p .7 keeps the token that crosses it, min_p .3 what has .19 or more.
    for truncated, kept in (({"top_p": 0.7}, {2, 3}), ({"min_p": 0.3}, {2, 3}), ({"top_p": 0.6}, {3})):
        settings = {"token_steps": 1, "top_p": 1.0, "min_p": 0.0} | truncated
        x = run(case, Alike(logits), all_masked(count, 5, 4), noise(count), 4, **settings).tokens
        assert set(x.unique().tolist()) == kept


@pytest.mark.slow
@every_case
def test_rare_tokens_are_hit_at_their_rate_in_a_million_draws(case):
    """21 hits are expected; 5 to 43 is what a Poisson law leaves within 1e-4 on either side.

    All draw through the two functions that test_drawing.py holds to their rates within 1e-3; there is float32 too.
    """
    rare = torch.tensor([1e-5, 1e-5, 1e-6, 1e-7], dtype=torch.float64)
    logits = torch.cat([rare.log(), torch.log1p(-rare.sum())[None]]).tolist()
    settings = {"token_steps": 1, "top_p": 1.0, "min_p": 0.0}
    x = run(case, Alike(logits), all_masked(2000, 500, 5), noise(2000, 11), 5, **settings).tokens
    assert 5 <= int((x < 4).sum()) <= 43


MARGINAL = {
    "ancestral-truncated",
    "flow-corrector",
    "forward-backward",
    "informed-corrector",
    "psi",
    "remdm-cap",
    "remdm-loop",
    "remdm-rescale",
}


@pytest.mark.parametrize("case", sorted(MARGINAL))
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_share_of_masks_is_that_of_the_schedule_at_every_step(case, schedule):
    """Masks are independent of each other and of the tokens, so their number is binomial.

    The statistic has mean 0 and unit variance; over the 12 steps of one case it exceeds 6 by chance once in 1e5 tests
    (chi-square with one to six degrees of freedom, cut where fewer than 5 samples are expected).
    """
    positions, count, seen = 6, 4000, []
    sampler = make(case, soft_tables(positions, 2), 2, token_steps=12, schedule=schedule)
    again, before = 0, torch.ones(count, positions, dtype=torch.bool)

    def check(step, state):
        nonlocal again, before
        masked = state.tokens == 2
        alpha = float(DISCRETE_SCHEDULES[schedule].alpha(step.s)) if step.s > 0 else 1.0
        seen.append(count_excess(masked.sum(dim=1), 1 - alpha, positions))
        again, before = again + int((masked & ~before).sum()), masked

    sample(sampler, all_masked(count, positions, 2), noise(count, 5), check)
    assert len(seen) == 12
    assert max(seen) < 6
    assert (again > 0) == sampler.remasks or case == "informed-corrector"


def test_conf_masks_more_than_the_schedule_says():
    sampler, shares = make("remdm-conf", soft_tables(6, 2), 2, token_steps=12), []
    sample(
        sampler,
        all_masked(4000, 6, 2),
        noise(4000),
        lambda step, state: shares.append(float((state.tokens == 2).double().mean() - step.s)),
    )
    assert max(shares) > 0.05  # 100 standard errors: its marginal is not claimed
    assert shares[-1] == 0


@pytest.mark.parametrize("name", ["remdm-cap", "path-planning", "first-hitting"])
def test_a_sampler_of_masks_refuses_other_processes_and_names_them(name):
    source = token_source(soft_tables(4, 2), process_of("psi-uniform", 2))
    kind = kinds()[name]
    defaults = {key: field.default for key, field in kind.Options.model_fields.items()}
    with pytest.raises(SamplingError, match=f"'{name}' needs a MaskedProcess.*UniformProcess; take 'ancestral'"):
        kind(source=source, token_steps=2, **defaults)


def settings(text: str):
    values = yaml.safe_load(text)
    sweep = {"model": "m", "data": "d", "token_steps": [4], "samples": 4, "seeds": [0]}
    return kinds()[values["schedule"]].Settings.model_validate(sweep | values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{schedule: remdm-cap, remask: 1.5}", "remask"),
        ("{schedule: remdm-loop, begins: 0.1, ends: 0.2}", r"ends 0\.2 must be below begins 0\.1"),
        ("{schedule: psi, between: [0.5, 0.2]}", "low <= high"),
        ("{schedule: surest-first, by: hope}", "by"),
        ("{schedule: entropy-bounded, gamma: -1}", "gamma"),
        ("{schedule: first-hitting, top_p: 0}", "top_p"),
        ("{schedule: first-hitting, remask: 0.1}", "remask"),
    ],
)
def test_wrong_settings_are_errors_that_name_the_key(text, message):
    with pytest.raises(ValidationError, match=message):
        settings(text)


def test_a_sampler_without_a_grid_has_none_to_bend():
    for name in ("first-hitting", "entropy-bounded"):
        sweep = settings(f"{{schedule: {name}, token_lag: 2.0}}")
        with pytest.raises(ValueError, match=r"token_lag 2\.0: .* has no time grid"):
            kinds()[name].check(sweep)
    kinds()["remdm-cap"].check(settings("{schedule: remdm-cap, token_lag: 2.0}"))


@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
def test_times_are_the_inverse_of_the_schedule(schedule):
    sampler = make("remdm-cap", soft_tables(4, 2), 2, schedule=schedule)
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    torch.testing.assert_close(sampler.time_of(DISCRETE_SCHEDULES[schedule].alpha(t)), t, rtol=0, atol=1e-6)
    assert float(sampler.time_of(torch.zeros((), dtype=torch.float64))) == 1.0


def test_a_warm_up_of_two_steps_can_be_taken_of_all():
    for case in CASES:
        sampler = make(case, soft_tables(TOKENS, VOCABULARY), VOCABULARY, token_steps=9).shortened(2)
        assert isinstance(sampler, TokenSampler)
        assert sample(sampler, all_masked(3), noise(3)).token_passes.max() <= 2
