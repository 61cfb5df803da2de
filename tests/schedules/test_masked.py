"""Survival probabilities of masked diffusion."""

import math

import pytest
import torch

from ladd.schedules import MASKED_SCHEDULES

every_schedule = pytest.mark.parametrize("schedule", MASKED_SCHEDULES.values(), ids=MASKED_SCHEDULES.keys())
TIMES = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "at_zero", "at_half", "at_one"),
    [
        ("linear", 1, 0.5, 0),
        ("polynomial", 1, 1 - 0.5**3, 0),
        ("cosine", 1, 1 - math.sqrt(0.5), 0),
        ("geometric", math.exp(-1e-5), math.exp(-math.sqrt(1e-5 * 20)), math.exp(-20)),
    ],
)
def test_alpha_has_the_values_of_its_formula(name, at_zero, at_half, at_one):
    alpha = MASKED_SCHEDULES[name].alpha(torch.tensor([0, 0.5, 1], dtype=torch.float64))
    assert alpha.tolist() == pytest.approx([at_zero, at_half, at_one], abs=1e-15)


@every_schedule
def test_alpha_falls_and_stays_a_probability(schedule):
    alpha = schedule.alpha(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert (alpha.diff() < 0).all()
    assert ((alpha >= 0) & (alpha <= 1)).all()


@every_schedule
def test_derivative_is_that_of_alpha(schedule):
    t = TIMES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(schedule.alpha(t).sum(), t)
    torch.testing.assert_close(schedule.alpha_derivative(TIMES), gradient)


@every_schedule
def test_elbo_weight_is_the_hazard_of_being_revealed(schedule):
    expected = -schedule.alpha_derivative(TIMES) / (1 - schedule.alpha(TIMES))
    torch.testing.assert_close(schedule.elbo_weight(TIMES), expected)


def test_elbo_weight_of_linear_is_one_over_t():
    torch.testing.assert_close(MASKED_SCHEDULES["linear"].elbo_weight(TIMES), 1 / TIMES)


@every_schedule
@pytest.mark.parametrize("t", [1e-6, 1e-9, 1e-18])
def test_elbo_weight_is_finite_at_very_small_times(schedule, t):
    assert 0 < schedule.elbo_weight(scalar(t)) < math.inf


@every_schedule
def test_discrete_weight_tends_to_the_elbo_weight(schedule):
    step = 1e-6
    discrete = schedule.reveal_probability(TIMES, TIMES - step) / step
    torch.testing.assert_close(discrete, schedule.elbo_weight(TIMES), rtol=1e-3, atol=0)


@every_schedule
@pytest.mark.parametrize(("t", "s", "r"), [(1.0, 0.6, 0.3), (0.5, 0.4, 0.1), (0.9, 0.2, 0.0)])
def test_two_reverse_steps_compose_to_one(schedule, t, s, r):
    t, s, r = scalar(t), scalar(s), scalar(r)
    stays = (1 - schedule.reveal_probability(t, s)) * (1 - schedule.reveal_probability(s, r))
    torch.testing.assert_close(stays, 1 - schedule.reveal_probability(t, r))


@every_schedule
def test_last_step_reveals_everything(schedule):
    assert schedule.reveal_probability(scalar(0.3), scalar(0.0)) == 1
