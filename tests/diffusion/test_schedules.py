"""Noise schedules of discrete and of Gaussian diffusion."""

import math

import pytest
import torch

from ladd.diffusion.schedules import DISCRETE_SCHEDULES, GAUSSIAN_SCHEDULES

every_schedule = pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES.values(), ids=DISCRETE_SCHEDULES.keys())
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
    alpha = DISCRETE_SCHEDULES[name].alpha(torch.tensor([0, 0.5, 1], dtype=torch.float64))
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
    torch.testing.assert_close(DISCRETE_SCHEDULES["linear"].elbo_weight(TIMES), 1 / TIMES)


@every_schedule
@pytest.mark.parametrize("t", [1e-6, 1e-9, 1e-18])
def test_elbo_weight_is_finite_at_very_small_times(schedule, t):
    assert 0 < schedule.elbo_weight(scalar(t)) < math.inf


every_gaussian_schedule = pytest.mark.parametrize(
    "schedule", GAUSSIAN_SCHEDULES.values(), ids=GAUSSIAN_SCHEDULES.keys()
)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
FROM_ZERO_TO_ONE = torch.linspace(0, 1, 101, dtype=torch.float64)


@every_gaussian_schedule
def test_variance_is_preserved(schedule):
    total = schedule.signal(FROM_ZERO_TO_ONE) ** 2 + schedule.noise(FROM_ZERO_TO_ONE) ** 2
    torch.testing.assert_close(total, torch.ones_like(FROM_ZERO_TO_ONE))


@every_gaussian_schedule
@every_dtype
def test_ends_in_pure_noise_exactly(schedule, dtype):
    assert schedule.signal(torch.ones((), dtype=dtype)) == 0
    assert schedule.noise(torch.ones((), dtype=dtype)) == 1


@every_gaussian_schedule
@every_dtype
def test_starts_clean_exactly(schedule, dtype):
    assert schedule.signal(torch.zeros((), dtype=dtype)) == 1
    assert schedule.noise(torch.zeros((), dtype=dtype)) == 0


@every_gaussian_schedule
def test_signal_falls(schedule):
    assert (schedule.signal(FROM_ZERO_TO_ONE).diff() < 0).all()


@pytest.mark.parametrize(
    ("name", "t", "expected"),
    [
        ("linear", 0.25, 0.75),
        ("sqrt", 0.5, 0.7071),
        ("sqrt", 0.75, 0.5),
        ("cosine", 0.5, math.cos(0.508 / 1.008 * math.pi / 2) ** 2),
    ],
)
def test_squared_signal_has_the_value_of_the_paper(name, t, expected):
    signal = GAUSSIAN_SCHEDULES[name].signal_squared(torch.tensor(t, dtype=torch.float64))
    assert float(signal) == pytest.approx(expected, abs=1e-4)
