"""Gaussian diffusion and DDIM."""

import math
from itertools import pairwise

import pytest
import torch

from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.process import Step
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES

every_schedule = pytest.mark.parametrize("schedule", GAUSSIAN_SCHEDULES.values(), ids=GAUSSIAN_SCHEDULES.keys())
SHAPE = (3, 2, 4)


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


class GivenNoise:
    """The draws of a stream, given as they are."""

    def __init__(self, drawn):
        self.drawn = drawn

    def normal(self, what, *shape):
        return self.drawn


def add_noise(z, t, schedule, noise):
    return GaussianProcess(schedule).corrupt(z, t, GivenNoise(noise)).state


def ddim_step(z_t, z_hat, t, s, schedule, *, eta=0.0, noise=None):
    return GaussianProcess(schedule).ddim(z_t, z_hat, Step(0, t, s), noise, eta=eta)


def forward(z, noise, t: float, schedule):
    return add_noise(z, torch.full((len(z),), t, dtype=torch.float64), schedule, noise)


def state():
    return torch.randn(SHAPE, dtype=torch.float64), torch.randn(SHAPE, dtype=torch.float64)


@every_schedule
def test_forward_noise_at_both_ends(schedule):
    z, noise = state()
    assert torch.equal(forward(z, noise, 0.0, schedule), z)
    assert torch.equal(forward(z, noise, 1.0, schedule), noise)


def test_each_sequence_is_noised_at_its_own_time():
    z, noise = state()
    noisy = add_noise(z, torch.tensor([0.0, 0.75, 1.0]), GAUSSIAN_SCHEDULES["linear"], noise)
    torch.testing.assert_close(noisy, torch.stack([z[0], 0.5 * z[1] + math.sqrt(0.75) * noise[1], noise[2]]))


def test_forward_noise_keeps_the_precision_of_the_latents():
    z, noise = state()
    assert forward(z.float(), noise, 0.5, GAUSSIAN_SCHEDULES["sqrt"]).dtype == torch.float32


@every_schedule
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.9), (0.6, 0.3), (0.5, 0.01)])
def test_ddim_with_the_true_latent_stays_on_the_forward_trajectory(schedule, t, s):
    z, noise = state()
    z_t = forward(z, noise, t, schedule)
    z_s = ddim_step(z_t, z, scalar(t), scalar(s), schedule, eta=0.0)
    torch.testing.assert_close(z_s, forward(z, noise, s, schedule))


@every_schedule
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.9), (0.6, 0.3), (0.5, 0.01)])
def test_ancestral_step_is_the_bridge_posterior(schedule, t, s):
    z_t, z_hat = state()
    a_t, a_s = schedule.signal(scalar(t)), schedule.signal(scalar(s))
    v_t, v_s = 1 - a_t**2, 1 - a_s**2
    v_ts = v_t - (a_t / a_s) ** 2 * v_s  # variance of z_t given z_s
    mean = (a_t / a_s) * v_s / v_t * z_t + a_s * v_ts / v_t * z_hat
    step = ddim_step(z_t, z_hat, scalar(t), scalar(s), schedule, eta=1.0, noise=torch.zeros(SHAPE))
    torch.testing.assert_close(step, mean)
    moved = ddim_step(z_t, z_hat, scalar(t), scalar(s), schedule, eta=1.0, noise=torch.ones(SHAPE)) - step
    torch.testing.assert_close(moved, (v_ts * v_s / v_t).sqrt().expand(SHAPE))


@pytest.mark.parametrize("eta", [0.3, 0.7])
def test_noise_of_a_step_grows_linearly_with_eta(eta):
    z_t, z_hat = state()

    def spread(eta: float) -> torch.Tensor:
        arguments = z_t, z_hat, scalar(0.6), scalar(0.3), GAUSSIAN_SCHEDULES["sqrt"]
        quiet = ddim_step(*arguments, eta=eta, noise=torch.zeros(SHAPE))
        return ddim_step(*arguments, eta=eta, noise=torch.ones(SHAPE)) - quiet

    torch.testing.assert_close(spread(eta), eta * spread(1.0))


@every_schedule
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("t", [0.1, 1.0])
def test_last_step_returns_the_prediction(schedule, eta, t):
    z_t, z_hat = state()
    step = ddim_step(z_t, z_hat, scalar(t), scalar(0.0), schedule, eta=eta, noise=torch.randn(SHAPE))
    torch.testing.assert_close(step, z_hat)


def variance_after(steps: int, eta: float, schedule) -> float:
    """Variance of the last state for data of unit variance, whose exact denoiser is z_hat = a(t) z_t."""
    variance, one = 1.0, torch.ones(1, 1, 1, dtype=torch.float64)
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    for t, s in pairwise(times):
        gain = ddim_step(one, schedule.signal(t) * one, t, s, schedule, eta=eta, noise=0 * one).item()
        added = ddim_step(0 * one, 0 * one, t, s, schedule, eta=eta, noise=one).item()
        variance = gain**2 * variance + added**2
    return variance


@every_schedule
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_many_exact_steps_preserve_the_variance_of_gaussian_data(schedule, eta):
    coarse, fine = variance_after(20, eta, schedule), variance_after(400, eta, schedule)
    assert fine == pytest.approx(1, abs=0.07)
    assert abs(1 - fine) < abs(1 - coarse) / 4


def test_one_exact_deterministic_step_turns_the_state_by_the_angle_between_the_times():
    schedule, one = GAUSSIAN_SCHEDULES["linear"], torch.ones(1, 1, 1, dtype=torch.float64)
    t, s = scalar(0.8), scalar(0.3)
    step = ddim_step(one, schedule.signal(t) * one, t, s, schedule)
    assert step.item() == pytest.approx(math.cos(math.asin(math.sqrt(0.8)) - math.asin(math.sqrt(0.3))))
