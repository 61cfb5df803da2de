"""Masked cross-entropy and the ELBO estimator, against exact sums over all masks."""

import itertools
import math

import pytest
import torch
from torch import nn

from ladd.networks import DiT
from ladd.objectives.masked import diffusion_weight, masked_cross_entropy, mdlm_loss
from ladd.randomness import SampleNoise
from ladd.schedules import MASKED_SCHEDULES
from ladd.times import TimeDraw
from tests.builders import SpyHead, TableDenoiser, network, perturb

TOKENS, VOCABULARY = 4, 3
X = torch.tensor([2, 0, 1, 1])
DENOISER = TableDenoiser(TOKENS, VOCABULARY)


def beta(a: int, b: int) -> float:
    return math.gamma(a) * math.gamma(b) / math.gamma(a + b)


def loss_of_every_mask() -> list[tuple[int, float]]:
    """(number of masked tokens, loss) of each of the 2^N masks."""
    masks = torch.tensor(list(itertools.product([False, True], repeat=TOKENS)))
    logits = DENOISER(torch.where(masks, VOCABULARY, X), torch.zeros(len(masks)))
    nll = -torch.log_softmax(logits, dim=-1)[:, torch.arange(TOKENS), X]
    return [(int(mask.sum()), float(row[mask].sum())) for mask, row in zip(masks, nll, strict=True)]


def estimate(steps: int = 40, batch: int = 1024, **options) -> tuple[float, float]:
    """Mean of the estimator and its standard error, taken over steps."""
    noise = SampleNoise(0, torch.arange(batch))
    x = X.expand(batch, TOKENS)
    means = torch.stack(
        [mdlm_loss(DENOISER, x, noise, step, mask_id=VOCABULARY, **options).mean() for step in range(steps)]
    )
    return float(means.mean()), float(means.std()) / math.sqrt(steps)


@pytest.mark.parametrize("warp", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("schedule", MASKED_SCHEDULES)
def test_elbo_estimator_is_unbiased_under_every_schedule_and_warp(schedule, warp):
    # The integral of w(t) (1 - alpha)^k alpha^(N - k) over t is a Beta function of k under every schedule.
    exact = sum(beta(k, TOKENS - k + 1) * loss for k, loss in loss_of_every_mask() if k)
    mean, error = estimate(schedule=MASKED_SCHEDULES[schedule], warp=warp)
    assert error < 0.02 * exact
    assert abs(mean - exact) < 5 * error + 1e-4 * exact  # geometric starts at alpha(0) = 1 - 1e-5


@pytest.mark.parametrize("warp", [1.0, 2.0])
def test_constant_weight_is_the_plain_average_over_uniform_times(warp):
    exact = sum(beta(k + 1, TOKENS - k + 1) * loss for k, loss in loss_of_every_mask())
    mean, error = estimate(schedule=MASKED_SCHEDULES["linear"], weight="constant", warp=warp)
    assert error < 0.02 * exact
    assert abs(mean - exact) < 5 * error


def test_training_uses_the_elbo_weight_only_where_asked_for():
    times = TimeDraw(torch.tensor([0.25, 0.5]), torch.tensor([3.0, 7.0]))
    schedule = MASKED_SCHEDULES["linear"]
    assert diffusion_weight(schedule, times, "elbo").tolist() == [12, 14]
    assert diffusion_weight(schedule, times, "constant").tolist() == [3, 7]


def test_head_runs_on_masked_positions_only():
    head, masked = SpyHead(5, VOCABULARY), torch.rand(6, TOKENS) < 0.4
    masked_cross_entropy(torch.randn(6, TOKENS, 5), head, torch.randint(3, (6, TOKENS)), masked, torch.ones(6))
    assert head.rows == [int(masked.sum())]


def test_training_step_runs_the_head_on_masked_positions_only():
    model = DiT(VOCABULARY, **network())
    model.token_head = SpyHead(8, VOCABULARY)
    noise, counted = SampleNoise(0, torch.arange(32)), []
    model.register_forward_hook(lambda _, given, __: counted.append(int((given[0] == VOCABULARY).sum())))
    mdlm_loss(model, X.expand(32, TOKENS), noise, 0, MASKED_SCHEDULES["linear"], mask_id=VOCABULARY)
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


@pytest.mark.parametrize("schedule", MASKED_SCHEDULES)
def test_loss_is_finite_at_very_small_times(schedule, monkeypatch):
    monkeypatch.setattr(SampleNoise, "uniform", lambda self, name, step, *shape: torch.full((2, *shape), 1e-7).double())
    x = X.expand(2, TOKENS)
    loss = mdlm_loss(DENOISER, x, SampleNoise(0, x), 0, MASKED_SCHEDULES[schedule], mask_id=VOCABULARY, warp=3.0)
    assert loss.isfinite().all()


def test_loss_does_not_depend_on_the_tokens_under_the_mask_of_the_input():
    seen = []
    model = perturb(DiT(VOCABULARY, **network()))
    model.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    noise = SampleNoise(0, torch.arange(8))
    mdlm_loss(model, X.expand(8, TOKENS), noise, 0, MASKED_SCHEDULES["linear"], mask_id=VOCABULARY)
    assert ((seen[0] == X) | (seen[0] == VOCABULARY)).all()
