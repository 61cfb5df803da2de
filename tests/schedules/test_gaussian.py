"""Variance-preserving schedules."""

import math

import pytest
import torch

from ladd.schedules import GAUSSIAN_SCHEDULES

every_schedule = pytest.mark.parametrize("schedule", GAUSSIAN_SCHEDULES.values(), ids=GAUSSIAN_SCHEDULES.keys())
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
TIMES = torch.linspace(0, 1, 101, dtype=torch.float64)


@every_schedule
def test_variance_is_preserved(schedule):
    total = schedule.signal(TIMES) ** 2 + schedule.noise(TIMES) ** 2
    torch.testing.assert_close(total, torch.ones_like(TIMES))


@every_schedule
@every_dtype
def test_ends_in_pure_noise_exactly(schedule, dtype):
    assert schedule.signal(torch.ones((), dtype=dtype)) == 0
    assert schedule.noise(torch.ones((), dtype=dtype)) == 1


@every_schedule
@every_dtype
def test_starts_clean_exactly(schedule, dtype):
    assert schedule.signal(torch.zeros((), dtype=dtype)) == 1
    assert schedule.noise(torch.zeros((), dtype=dtype)) == 0


@every_schedule
def test_signal_falls(schedule):
    assert (schedule.signal(TIMES).diff() < 0).all()


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
