"""Counter-based noise: a pure function of (seed, name, sample, step, coordinate)."""

import math

import pytest
import torch

from ladd.diffusion import noise as randomness
from ladd.diffusion.noise import SampleNoise, StepStream, derive

ONES_64 = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """The published finaliser, on unsigned Python integers."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & ONES_64
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & ONES_64
    return state ^ (state >> 31)


def noise(samples, seed: int = 3) -> SampleNoise:
    return SampleNoise(seed, torch.as_tensor(samples))


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


@pytest.mark.parametrize("samples", [[7], [9, 7, 100], [7, 8, 9, 10]])
def test_stream_of_a_sample_is_the_same_in_every_batch(samples):
    alone = noise([7]).uniform("x", 2, 5, 3)[0]
    assert torch.equal(noise(samples).uniform("x", 2, 5, 3)[samples.index(7)], alone)


def test_a_batch_is_its_halves():
    whole = noise(range(10)).normal("x", 2, 4)
    halves = [noise(range(5)).normal("x", 2, 4), noise(range(5, 10)).normal("x", 2, 4)]
    assert torch.equal(whole, torch.cat(halves))


@pytest.mark.parametrize("rows", [torch.tensor([4, 0]), torch.tensor([True, False, False, True, False])])
def test_select_keeps_the_streams(rows):
    batch = noise([11, 5, 9, 2, 3])
    assert torch.equal(batch.select(rows).uniform("x", 0, 6), batch.uniform("x", 0, 6)[rows])


def test_draws_do_not_depend_on_earlier_draws():
    source = noise(range(4))
    first = source.uniform("x", 0, 3)
    source.uniform("y", 0, 3)
    assert torch.equal(source.uniform("x", 0, 3), first)


def test_first_coordinates_do_not_depend_on_how_many_are_drawn():
    assert torch.equal(noise([1, 2]).uniform("x", 0, 8)[:, :3], noise([1, 2]).uniform("x", 0, 3))


def test_draws_are_those_of_the_published_generator():
    golden = 0x9E3779B97F4A7C15
    stream = splitmix64((5 * golden + derive(3, "x", 2)) & ONES_64)
    expected = [splitmix64((stream + i * golden) & ONES_64) / 2**64 for i in (1, 2, 3)]
    assert noise([5]).uniform("x", 2, 3)[0].tolist() == pytest.approx(expected, abs=1e-15)


def lattice(axis: str) -> torch.Tensor:
    """20,000 draws along one axis, the others held."""
    if axis == "samples":
        return noise(range(20_000)).uniform("x", 0, 1).flatten()
    if axis == "coordinates":
        return noise([0]).uniform("x", 0, 20_000).flatten()
    return torch.cat([noise(range(100)).uniform("x", step, 1).flatten() for step in range(200)])


@pytest.mark.parametrize("axis", ["samples", "coordinates", "steps"])
def test_uniform_draws_fill_bins_evenly(axis):
    draws = lattice(axis)
    counts = torch.histc(draws, bins=20, min=0, max=1)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert 2 < chi_square < 19 + 5 * math.sqrt(2 * 19)


@pytest.mark.parametrize("axis", ["samples", "coordinates", "steps"])
def test_neighbours_are_not_correlated(axis):
    draws = lattice(axis)
    assert abs(correlation(draws[1:], draws[:-1])) < 5 / math.sqrt(len(draws))


@pytest.mark.parametrize(
    "other",
    [
        noise(range(200)).uniform("y", 0, 100),
        noise(range(200)).uniform("x", 1, 100),
        noise(range(200), seed=4).uniform("x", 0, 100),
        noise(range(1, 201)).uniform("x", 0, 100),
        noise(range(200, 400)).uniform("x", 0, 100),
    ],
    ids=["name", "step", "seed", "next-sample", "other-samples"],
)
def test_two_independent_draws_are_not_correlated(other):
    draws = noise(range(200)).uniform("x", 0, 100)
    assert abs(correlation(draws, other)) < 5 / math.sqrt(draws.numel())


def test_normal_draws_have_normal_moments():
    draws = noise(range(500)).normal("x", 0, 100)
    count = draws.numel()
    # Mean and variance of x^k of a standard normal.
    for power, mean, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(float((draws**power).mean()) - mean) < 5 * math.sqrt(variance / count)


def test_draws_are_float64():
    assert noise([0]).uniform("x", 0, 1).dtype == noise([0]).normal("x", 0, 1).dtype == torch.float64


@pytest.mark.parametrize("bits", [0, -1])
def test_extreme_hashes_stay_in_the_open_interval(bits, monkeypatch):
    monkeypatch.setattr(randomness, "_mix", lambda x: torch.full_like(x, bits))
    draw = noise([0]).uniform("x", 0, 1)
    assert 0 < draw < 1
    assert noise([0]).normal("x", 0, 1).isfinite()


def test_derived_seeds_are_63_bit_and_differ():
    seeds = {derive(s, *names) for s in range(20) for names in [(), ("a",), ("b",), ("a", 1), ("a", 11), ("a", "b")]}
    assert len(seeds) == 120
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_derived_seeds_never_change():
    assert derive(42, "sample", "di-seq") == 1129098224190550437


def test_stream_of_a_step_is_apart_from_the_global_generator():
    stream, drawn = StepStream(), []
    for state in (1, 2):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        stream.restart(5)
        for _ in range(2):
            with stream.use(torch.device("cpu")):
                drawn.append(torch.rand(()).item())
        assert torch.equal(torch.get_rng_state(), before)
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


def test_stream_that_was_not_started_is_the_global_generator():
    torch.manual_seed(1)
    expected = torch.rand(())
    torch.manual_seed(1)
    with StepStream().use(torch.device("cpu")):
        assert torch.rand(()) == expected
