"""Sliced Wasserstein distance and the two entropies on sets whose values are known."""

import math

import pytest
import torch

from ladd.metrics.swd import sliced_wasserstein
from ladd.tasks.sawtooth import draw_sequences


def real(count: int, name: str = "a") -> torch.Tensor:
    return torch.from_numpy(draw_sequences(count, 0, name, tokens=16, periods=2, floor=0.01))


def distance(a: torch.Tensor, b: torch.Tensor, directions: int = 50, seed: int = 0) -> float:
    return float(sliced_wasserstein(a, b, directions, seed).mean())


def test_distance_of_a_set_to_itself_in_any_order_is_zero():
    x = real(100)
    assert distance(x, x) == 0.0
    assert distance(x, x[torch.randperm(100)]) == pytest.approx(0.0, abs=1e-12)


def test_distance_is_symmetric():
    assert torch.equal(
        sliced_wasserstein(real(50), real(50, "b"), 20, 0), sliced_wasserstein(real(50, "b"), real(50), 20, 0)
    )


def test_distance_does_not_depend_on_the_order_of_the_sets():
    a, b = real(100), real(100, "b")
    shuffled = distance(a[torch.randperm(100)], b[torch.randperm(100)])
    assert shuffled == pytest.approx(distance(a, b), rel=1e-12)


def test_one_dimensional_distance_is_the_mean_sorted_difference():
    a, b = torch.tensor([[5], [0], [2]]), torch.tensor([[1], [2], [9]])
    assert distance(a, b) == pytest.approx((1 + 0 + 4) / 3)


def test_shift_gives_its_mean_projection():
    a = torch.randint(5, (30, 2))
    distances = sliced_wasserstein(a, a + torch.tensor([3, 4]), 4000, 0)
    # |shift| = 5 times the mean |cosine| of a random direction in the plane.
    error = float(distances.std()) / 4000**0.5
    assert abs(float(distances.mean()) - 5 * 2 / math.pi) < 5 * error
    assert distances.max() == pytest.approx(5, abs=0.01)


def test_directions_have_unit_length_in_every_dimension():
    distances = sliced_wasserstein(torch.zeros(1, 64), torch.ones(1, 64), 4000, 0)
    assert float((distances**2).mean()) == pytest.approx(1.0, abs=5 * (2 / 4000) ** 0.5)


def test_seed_fixes_the_directions():
    a, b = real(50), real(50, "b")
    assert torch.equal(sliced_wasserstein(a, b, 20, 3), sliced_wasserstein(a, b, 20, 3))
    assert not torch.equal(sliced_wasserstein(a, b, 20, 3), sliced_wasserstein(a, b, 20, 4))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_do_not_change_the_distances(chunk):
    a, b = real(50), real(50, "b")
    expected = sliced_wasserstein(a, b, 20, 0)
    torch.testing.assert_close(sliced_wasserstein(a, b, 20, 0, chunk=chunk), expected)


@pytest.mark.parametrize("other", [(49, 16), (50, 15)])
def test_sets_of_different_shape_are_refused(other):
    with pytest.raises(ValueError, match=r"\(50, 16\) and \(" + f"{other[0]}, {other[1]}"):
        sliced_wasserstein(real(50), torch.zeros(other), 5, 0)


def test_floor_falls_with_the_number_of_sequences():
    floors = [distance(real(count), real(count, "b")) for count in (100, 1600)]
    assert floors[1] == pytest.approx(floors[0] / 4, rel=0.3)
