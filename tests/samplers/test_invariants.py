"""What holds for every sampler."""

import math

import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.samplers.ancestral import Ancestral
from tests.samplers.known_answers import (
    KINDS,
    LATENT_KINDS,
    LENGTH,
    LINEAR,
    MASK,
    TOKENS,
    VOCABULARY,
    WIDTH,
    ConstantHead,
    FixedNoise,
    all_masked,
    case,
    draw,
    noise,
    options_of,
    record,
    token_source,
)

every_kind = pytest.mark.parametrize("kind", KINDS)


def partly_given(samples: int = 40) -> torch.Tensor:
    """Every row with its own given tokens; the first row has none, the second nothing left to draw."""
    x = torch.randint(VOCABULARY, (samples, TOKENS))
    masked = torch.rand(samples, TOKENS) < 0.5
    masked[0], masked[1] = True, False
    return x.masked_fill(masked, MASK)


def numbered(samples: int = VOCABULARY) -> torch.Tensor:
    """Rows that can be told apart by their first token."""
    return torch.cat([torch.arange(samples)[:, None], all_masked(samples)[:, 1:]], dim=1)


@every_kind
@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
@pytest.mark.parametrize("steps", [1, 3, 17])
def test_no_mask_is_left(kind, schedule, steps):
    x = case(kind, schedule).run(all_masked(16), noise(16), options=options_of(kind, steps)).tokens
    assert 0 <= x.min() <= x.max() < VOCABULARY


@every_kind
@pytest.mark.parametrize("steps", [1, 4])
def test_given_tokens_stay_on_every_row_and_masked_ones_are_drawn(kind, steps):
    given = partly_given()
    x = case(kind).run(given, noise(40), options=options_of(kind, steps)).tokens
    assert torch.equal(x[given != MASK], given[given != MASK])
    assert (x < MASK).all()
    assert len(x[given == MASK].unique()) == VOCABULARY


@every_kind
def test_starting_tokens_are_not_overwritten(kind):
    given = partly_given()
    before = given.clone()
    case(kind).run(given, noise(40), options=options_of(kind, 3))
    assert torch.equal(given, before)


@every_kind
@pytest.mark.parametrize("steps", [1, 5])
def test_a_sample_does_not_depend_on_its_batch(kind, steps):
    given, options, run = partly_given(12), options_of(kind, steps), case(kind).run
    together = run(given, noise(12), options=options)
    order = torch.tensor([7, 2, 11, 0, 1, 5])
    for rows in (order, order.flip(0), torch.tensor([3]), torch.arange(6, 12)):
        parts = run(given[rows], SampleNoise(0, rows), options=options)
        for part, whole in zip(parts, together, strict=True):
            assert torch.equal(part, whole[rows])


@pytest.mark.parametrize("kind", ["joint-continuous", "sequential-continuous"])
@pytest.mark.parametrize(("eta", "fresh"), [(0.0, False), (0.7, True)])
def test_deterministic_latents_draw_no_noise_after_the_start(kind, eta, fresh, monkeypatch):
    drawn, normal = [], SampleNoise.normal
    monkeypatch.setattr(
        SampleNoise, "normal", lambda self, name, *place: drawn.append(name) or normal(self, name, *place)
    )
    case(kind).run(all_masked(4), noise(4), options=options_of(kind, 3, eta=eta))
    assert set(drawn) == {"latent_start", *(["latent"] if fresh else [])}


class TokensAlone(nn.Module):
    """A two-stream denoiser as one of tokens alone."""

    def __init__(self, denoiser: nn.Module):
        super().__init__()
        self.denoiser, self.token_head = denoiser, denoiser.token_head

    def forward(self, x, t):
        return self.denoiser(x, torch.zeros(len(x), LENGTH, WIDTH, dtype=torch.float64), t, t)[0]


@pytest.mark.parametrize("kind", LATENT_KINDS)
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_latents_that_tell_nothing_leave_the_tokens_of_the_masked_sampler(kind, steps):
    network, _, run = case(kind)
    network.from_latents.zero_()
    given, options = partly_given(), options_of(kind, steps, token_lag=2.0)
    x = run(given, noise(40), options=options).tokens
    source = token_source(TokensAlone(network), MaskedProcess(LINEAR, VOCABULARY))
    alone = draw(Ancestral, source, given, noise(40), **options).tokens
    assert torch.equal(x, alone)
    assert len(x.unique(dim=0)) > 30


@every_kind
def test_other_noise_gives_other_samples(kind):
    first, second = (case(kind).run(all_masked(8), noise(8, seed), options=options_of(kind, 3)) for seed in (0, 1))
    assert not torch.equal(first.tokens, second.tokens)


@every_kind
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_every_pass_of_the_network_is_counted(kind, steps):
    network, prior, run = case(kind)
    calls, latent_calls = record(network), record(prior)
    samples = run(partly_given(), noise(40), options=options_of(kind, steps))
    assert samples.token_passes.sum() == sum(len(x) for x, *_ in calls) > 0
    assert samples.latent_passes.sum() == sum(len(z) for z, _ in latent_calls)


@every_kind
@pytest.mark.parametrize("steps", [1, 4])
def test_samples_that_share_no_rows_are_the_same_and_make_the_passes_that_are_counted(kind, steps):
    network, prior, run = case(kind)
    together = run(all_masked(9), noise(9), options=options_of(kind, steps))
    calls, latent_calls = record(network), record(prior)
    apart = run(all_masked(9), noise(9), options=options_of(kind, steps, share_rows=False))
    assert all(torch.equal(a, b) for a, b in zip(apart, together, strict=True))
    assert apart.token_passes.sum() == sum(len(x) for x, *_ in calls)
    assert apart.latent_passes.sum() == sum(len(z) for z, _ in latent_calls)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_passes_are_counted_for_the_sample_that_they_were_made_for(kind):
    network, _, run = case(kind)
    calls = record(network)
    samples = run(numbered(), noise(VOCABULARY), options=options_of(kind, 30))
    rows = torch.cat([x[:, 0] for x, *_ in calls])
    assert torch.equal(rows.bincount(minlength=VOCABULARY), samples.token_passes)
    assert len(samples.token_passes.unique()) > 1


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_sample_needs_at_most_one_pass_per_revealed_position_or_step(kind):
    options = options_of(kind, 100)
    passes = case(kind).run(all_masked(16), noise(16), options=options).token_passes
    codes = LENGTH if "discrete" in kind else 0
    assert passes.max() <= (100 if kind == "joint-continuous" else TOKENS + codes)


@pytest.mark.parametrize("kind", ["masked", "joint-discrete", "joint-continuous"])
def test_a_complete_sample_needs_no_pass(kind):
    given = partly_given()
    passes = case(kind).run(given, noise(40), options=options_of(kind, 4)).token_passes
    assert passes[1] == 0
    assert passes[0] > 0


@every_kind
@pytest.mark.parametrize("steps", [1, 30])
def test_token_head_runs_once_per_drawn_position(kind, steps):
    network, _, run = case(kind)
    calls, given = record(network.token_head), partly_given()
    run(given, noise(40), options=options_of(kind, steps))
    positions = given.numel() if kind == "autoregressive" else int((given == MASK).sum())
    assert sum(len(hidden) for (hidden,) in calls) == positions


def test_latent_head_runs_once_per_code():
    network, _, run = case("sequential-discrete")
    calls = record(network.latent_head)
    run(partly_given(), noise(40), options=options_of("sequential-discrete", 4))
    assert sum(len(hidden) for (hidden,) in calls) == 40 * LENGTH


def test_joint_latent_head_runs_at_most_once_per_code():
    network, _, run = case("joint-discrete")
    calls = record(network.latent_head)
    run(all_masked(40), noise(40), options=options_of("joint-discrete", 30))
    assert 0 < sum(len(hidden) for (hidden,) in calls) <= 40 * LENGTH


class BrokenError(Exception):
    pass


def break_after(module: nn.Module, calls: int) -> None:
    made = []

    def hook(_module, _given):
        made.append(None)
        if len(made) > calls:
            raise BrokenError

    module.register_forward_pre_hook(hook)


@every_kind
@pytest.mark.parametrize("calls", [0, 2])
def test_exceptions_of_the_network_propagate(kind, calls):
    network, _, run = case(kind)
    break_after(network, calls)
    with pytest.raises(BrokenError):
        run(all_masked(16), noise(16), options=options_of(kind, 10))


def test_exceptions_of_the_prior_propagate():
    _, prior, run = case("sequential-continuous")
    break_after(prior, 1)
    with pytest.raises(BrokenError):
        run(all_masked(4), noise(4), options=options_of("sequential-continuous", 2))


# With odds 1 : 9, P(first) is 0.25 at temperature 2; it is 0.1 at 1 and 0.37 at 4, temperature 2 applied twice.
ODDS, AT_TEMPERATURE_2 = [0.0, math.log(9.0)], [(0.2, 0), (0.3, 1)]


@every_kind
@pytest.mark.parametrize(("uniform", "expected"), AT_TEMPERATURE_2)
def test_temperature_is_applied_once_to_tokens(kind, uniform, expected):
    network, _, run = case(kind)
    network.token_head = ConstantHead(ODDS + [-math.inf] * (VOCABULARY - 2))
    fixed = FixedNoise(3, reveal=0.5, code=0.5, token=uniform)
    x = run(all_masked(3), fixed, options=options_of(kind, 4, temperature=2.0)).tokens
    assert (x == expected).all()


@pytest.mark.parametrize("kind", ["joint-discrete", "sequential-discrete"])
@pytest.mark.parametrize(("uniform", "expected"), AT_TEMPERATURE_2)
def test_temperature_is_applied_once_to_codes(kind, uniform, expected):
    network, _, run = case(kind)
    network.latent_head = ConstantHead([*ODDS, -math.inf])
    calls = record(network)
    # Codes are revealed in the first step and tokens in the last, which sees the codes.
    fixed = FixedNoise(3, code_reveal=0.1, reveal=0.9, code=uniform, token=0.5)
    run(all_masked(3), fixed, options=options_of(kind, 4, temperature=2.0))
    assert (calls[-1][1].argmax(dim=-1) == expected).all()
    assert len(calls) == 2


@every_kind
@pytest.mark.parametrize(("precision", "resolved"), [("float64", True), ("float32", False)])
def test_precision_is_that_of_the_options(kind, precision, resolved):
    network, _, run = case(kind)
    network.token_head = ConstantHead([0.0, 0.0, 0.0, math.log(3e-11)] + [-math.inf] * (VOCABULARY - 4))
    fixed = FixedNoise(3, reveal=0.5, code=0.5, token=1 - 1e-12)
    x = run(all_masked(3), fixed, options=options_of(kind, 2, precision=precision)).tokens
    assert ((x == 3) == resolved).all()


@pytest.mark.parametrize("kind", LATENT_KINDS)
def test_first_pass_of_each_channel_is_at_time_one(kind):
    network, prior, run = case(kind)
    calls, latent_calls = record(network), record(prior)
    run(all_masked(40), noise(40), options=options_of(kind, 3))
    x, z, t_x, t_z, *_ = calls[0]
    assert (x == MASK).all()
    assert (t_x == 1).all()
    if kind == "sequential-continuous":
        z, t = latent_calls[0]
        assert (t == 1).all()
        assert (t_z == 0).all()
    else:
        assert (t_z == 1).all()
    if kind.endswith("continuous") and kind.startswith("joint"):
        assert torch.equal(z, noise(40).normal("latent_start", 0, LENGTH, WIDTH).float())


@every_kind
def test_no_gradients_are_recorded(kind):
    network, _, run = case(kind)
    if kind != "autoregressive":
        network.token_head = nn.Linear(VOCABULARY, VOCABULARY, dtype=torch.float64)
    seen = []
    network.token_head.register_forward_hook(lambda _, __, logits: seen.append(logits.requires_grad))
    run(all_masked(2), noise(2), options=options_of(kind, 1))
    assert set(seen) == {False}
