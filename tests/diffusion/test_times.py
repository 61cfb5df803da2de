"""Low-discrepancy times and their importance weights."""

import pytest
import torch

from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.times import independent_times, low_discrepancy_times

BATCH = 16


def uniforms(name: str, step: int = 0, batch: int = BATCH) -> torch.Tensor:
    return SampleNoise(0, torch.arange(batch)).uniform(name, step, 1)[:, 0]


def test_one_time_falls_into_each_stratum():
    times = low_discrepancy_times(uniforms("jitter")).t
    assert (times * BATCH).floor().tolist() == list(range(BATCH))


def test_jitter_is_not_shared_between_strata():
    offsets = low_discrepancy_times(uniforms("jitter")).t * BATCH % 1
    assert offsets.std() > 0.1


def test_second_draw_is_a_permutation_of_the_strata():
    times = independent_times(uniforms("jitter"), uniforms("order")).t
    strata = (times * BATCH).floor().long().tolist()
    assert sorted(strata) == list(range(BATCH))
    assert strata != list(range(BATCH))


def test_second_draw_keeps_weights_with_their_times():
    draw = independent_times(uniforms("jitter"), uniforms("order"), warp=3.0)
    torch.testing.assert_close(draw.weight, 3 * draw.t ** (2 / 3))


def test_two_independent_draws_are_not_correlated():
    pairs = []
    for step in range(200):
        t_x = low_discrepancy_times(uniforms("t_x", step)).t
        t_z = independent_times(uniforms("t_z", step), uniforms("order", step)).t
        pairs.append(torch.corrcoef(torch.stack([t_x, t_z]))[0, 1])
    assert abs(torch.stack(pairs).mean()) < 0.1


def test_every_sequence_of_the_batch_sees_all_second_times():
    rows = [independent_times(uniforms("t_z", step), uniforms("order", step)).t for step in range(400)]
    mean = torch.stack(rows).mean(dim=0)
    assert (mean - 0.5).abs().max() < 5 * (1 / 12 / 400) ** 0.5


@pytest.mark.parametrize("warp", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("function", [lambda t: t**2, lambda t: (3 * t).exp(), torch.sqrt])
def test_weighted_averages_are_integrals_over_uniform_time(warp, function):
    grid = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    draw = low_discrepancy_times(uniforms("jitter", batch=4000), warp)
    average = (function(draw.t) * draw.weight).mean()
    torch.testing.assert_close(average, function(grid).mean(), rtol=1e-4, atol=0)


def test_warp_draws_more_small_times():
    assert low_discrepancy_times(uniforms("jitter"), 3.0).t.median() < 0.2
