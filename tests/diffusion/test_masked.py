"""Masked diffusion: forward marginals, reverse steps, and the ELBO estimator against exact sums over all masks."""

import itertools
import math

import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction, Step, token_loss
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import TimeDraw
from ladd.networks import DiT
from tests.builders import SpyHead, TableDenoiser, network, perturb

TOKENS, VOCABULARY = 4, 3
X = torch.tensor([2, 0, 1, 1])
SAMPLES, POSITIONS = 500, 40
MANY = StreamNoise(SampleNoise(0, torch.arange(SAMPLES)), "token")
every_schedule = pytest.mark.parametrize("name", DISCRETE_SCHEDULES)
TIMES = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)


def process(name: str = "linear") -> MaskedProcess:
    return MaskedProcess(DISCRETE_SCHEDULES[name], VOCABULARY)


def step(t: float, s: float, index: int = 0) -> Step:
    return Step(index, torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))


def masked_at(t: float, name: str) -> torch.Tensor:
    clean = torch.zeros(SAMPLES, POSITIONS, dtype=torch.long)
    noised = process(name).corrupt(clean, torch.full((SAMPLES,), t, dtype=torch.float64), MANY)
    assert torch.equal(noised.state == VOCABULARY, noised.changed)
    return noised.state


def near(rate: torch.Tensor, expected: float) -> bool:
    return abs(float(rate.double().mean()) - expected) < 5 * math.sqrt(expected * (1 - expected) / rate.numel())


@every_schedule
@pytest.mark.parametrize("t", [0.2, 0.5, 0.9])
def test_mask_rate_is_one_minus_alpha(name, t):
    assert near(masked_at(t, name) == VOCABULARY, 1 - float(DISCRETE_SCHEDULES[name].alpha(step(t, 0).t)))


def test_each_sequence_is_masked_at_its_own_time():
    draws = StreamNoise(SampleNoise(0, torch.arange(3)), "token")
    masked = process().draw_mask(torch.tensor([0.0, 0.5, 1.0]), draws, POSITIONS)
    assert not masked[0].any()
    assert 0 < masked[1].sum() < POSITIONS
    assert masked[2].all()


@every_schedule
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.5), (0.8, 0.7), (0.5, 0.1), (0.5, 0.0)])
def test_forward_then_reverse_has_the_marginal_of_the_earlier_time(name, t, s):
    state = masked_at(t, name)
    revealed = process(name).wanted(state, step(t, s), MANY)
    assert not (revealed & (state != VOCABULARY)).any()
    left = (state == VOCABULARY) & ~revealed
    assert near(left, 1 - float(DISCRETE_SCHEDULES[name].alpha(step(s, 0).t))) or (s == 0 and not left.any())


@every_schedule
def test_discrete_weight_tends_to_the_elbo_weight(name):
    discrete = process(name).reveal_probability(TIMES, TIMES - 1e-6) / 1e-6
    torch.testing.assert_close(discrete, DISCRETE_SCHEDULES[name].elbo_weight(TIMES), rtol=1e-3, atol=0)


@every_schedule
@pytest.mark.parametrize(("t", "s", "r"), [(1.0, 0.6, 0.3), (0.5, 0.4, 0.1), (0.9, 0.2, 0.0)])
def test_two_reverse_steps_compose_to_one(name, t, s, r):
    reveal = process(name).reveal_probability
    t, s, r = (step(time, 0).t for time in (t, s, r))
    torch.testing.assert_close((1 - reveal(t, s)) * (1 - reveal(s, r)), 1 - reveal(t, r))


def masked_cross_entropy(hidden, head, targets, masked, weight) -> torch.Tensor:
    """Of one weight per sequence."""
    times = TimeDraw(torch.ones_like(weight), weight)
    return process().loss(Prediction(hidden, head), targets, Noised(targets, masked), times, "constant")


DENOISER = TableDenoiser(TOKENS, VOCABULARY)


def beta(a: int, b: int) -> float:
    return math.gamma(a) * math.gamma(b) / math.gamma(a + b)


def loss_of_every_mask() -> list[tuple[int, float]]:
    """(number of masked tokens, loss) of each of the 2^N masks."""
    masks = torch.tensor(list(itertools.product([False, True], repeat=TOKENS)))
    logits = DENOISER(torch.where(masks, VOCABULARY, X), torch.zeros(len(masks)))
    nll = -torch.log_softmax(logits, dim=-1)[:, torch.arange(TOKENS), X]
    return [(int(mask.sum()), float(row[mask].sum())) for mask, row in zip(masks, nll, strict=True)]


def estimate(schedule: str = "linear", steps: int = 40, batch: int = 1024, **options) -> tuple[float, float]:
    """Mean of the estimator and its standard error, taken over steps."""
    noise = SampleNoise(0, torch.arange(batch))
    x = X.expand(batch, TOKENS)
    means = torch.stack(
        [token_loss(process(schedule), DENOISER, x, noise, step, **options).mean() for step in range(steps)]
    )
    return float(means.mean()), float(means.std()) / math.sqrt(steps)


@pytest.mark.parametrize("warp", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
def test_elbo_estimator_is_unbiased_under_every_schedule_and_warp(schedule, warp):
    # The integral of w(t) (1 - alpha)^k alpha^(N - k) over t is a Beta function of k under every schedule.
    exact = sum(beta(k, TOKENS - k + 1) * loss for k, loss in loss_of_every_mask() if k)
    mean, error = estimate(schedule, warp=warp)
    assert error < 0.02 * exact
    assert abs(mean - exact) < 5 * error + 1e-4 * exact  # geometric starts at alpha(0) = 1 - 1e-5


@pytest.mark.parametrize("warp", [1.0, 2.0])
def test_constant_weight_is_the_plain_average_over_uniform_times(warp):
    exact = sum(beta(k + 1, TOKENS - k + 1) * loss for k, loss in loss_of_every_mask())
    mean, error = estimate(weight="constant", warp=warp)
    assert error < 0.02 * exact
    assert abs(mean - exact) < 5 * error


def test_training_uses_the_elbo_weight_only_where_asked_for():
    times = TimeDraw(torch.tensor([0.25, 0.5]), torch.tensor([3.0, 7.0]))
    assert process().time_weight(times, "elbo").tolist() == [12, 14]
    assert process().time_weight(times, "constant").tolist() == [3, 7]


def test_head_runs_on_masked_positions_only():
    head, masked = SpyHead(5, VOCABULARY), torch.rand(6, TOKENS) < 0.4
    masked_cross_entropy(torch.randn(6, TOKENS, 5), head, torch.randint(3, (6, TOKENS)), masked, torch.ones(6))
    assert head.rows == [int(masked.sum())]


def test_training_step_runs_the_head_on_masked_positions_only():
    model = DiT(VOCABULARY, **network())
    model.token_head = SpyHead(8, VOCABULARY)
    noise, counted = SampleNoise(0, torch.arange(32)), []
    model.register_forward_hook(lambda _, given, __: counted.append(int((given[0] == VOCABULARY).sum())))
    token_loss(process(), model, X.expand(32, TOKENS), noise, 0)
    assert model.token_head.rows == counted
    assert 0 < counted[0] < 32 * TOKENS


def test_revealed_positions_cost_nothing():
    hidden, targets = torch.randn(1, TOKENS, 5), torch.tensor([[2, 0, 1, 1]])
    head, masked = nn.Linear(5, VOCABULARY), torch.tensor([[True, False, True, False]])
    nll = -torch.log_softmax(head(hidden), dim=-1)[0, torch.arange(TOKENS), targets[0]]
    torch.testing.assert_close(
        masked_cross_entropy(hidden, head, targets, masked, torch.tensor([3.0])), 3 * (nll[0] + nll[2])[None]
    )


def test_losses_stay_with_their_sequences():
    hidden, targets, head = torch.randn(3, TOKENS, 5), torch.randint(3, (3, TOKENS)), nn.Linear(5, VOCABULARY)
    masked = torch.tensor([[True] * 4, [False] * 4, [False, True, False, True]])
    weight = torch.tensor([1.0, 2.0, 4.0])
    whole = masked_cross_entropy(hidden, head, targets, masked, weight)
    for row in range(3):
        alone = masked_cross_entropy(hidden[[row]], head, targets[[row]], masked[[row]], weight[[row]])
        torch.testing.assert_close(whole[[row]], alone)
    assert whole[1] == 0


def test_nothing_masked_costs_nothing_and_can_be_differentiated():
    hidden = torch.randn(2, TOKENS, 5, requires_grad=True)
    targets, masked = torch.zeros(2, TOKENS).long(), torch.zeros(2, TOKENS).bool()
    loss = masked_cross_entropy(hidden, nn.Linear(5, 3), targets, masked, torch.ones(2))
    assert loss.tolist() == [0, 0]
    loss.sum().backward()


@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
def test_loss_is_finite_at_very_small_times(schedule, monkeypatch):
    monkeypatch.setattr(SampleNoise, "uniform", lambda self, name, step, *shape: torch.full((2, *shape), 1e-7).double())
    x = X.expand(2, TOKENS)
    loss = token_loss(process(schedule), DENOISER, x, SampleNoise(0, x), 0, warp=3.0)
    assert loss.isfinite().all()


def test_loss_does_not_depend_on_the_tokens_under_the_mask_of_the_input():
    seen = []
    model = perturb(DiT(VOCABULARY, **network()))
    model.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    noise = SampleNoise(0, torch.arange(8))
    token_loss(process(), model, X.expand(8, TOKENS), noise, 0)
    assert ((seen[0] == X) | (seen[0] == VOCABULARY)).all()
