"""MAUVE of histograms whose area is known, and of clouds of points."""

import math

import pytest
import torch
from scipy.integrate import quad

from ladd.metrics.mauve import cluster_counts, divergence_area, mauve, smoothed


def law(*shares: float) -> torch.Tensor:
    return torch.tensor(shares, dtype=torch.float64)


def cloud(count: int, shift: float = 0.0, seed: int = 0) -> torch.Tensor:
    """Unit vectors around one direction of the plane."""
    angles = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.3 + shift
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_equal_histograms_have_area_one():
    assert divergence_area(law(0.2, 0.5, 0.3), law(0.2, 0.5, 0.3)) == pytest.approx(1.0)


@pytest.mark.parametrize(("scaling", "exact"), [(1.0, 1 / 2), (2.0, 1 / 6), (5.0, 1 / 252)])
def test_disjoint_histograms_have_the_area_of_their_curve(scaling, exact):
    # The curve is ((1 - w)^c, w^c), whose area is c B(c + 1, c).
    assert divergence_area(law(1, 0), law(0, 1), scaling=scaling, points=4000) == pytest.approx(exact, rel=1e-3)


def test_two_bins_against_quadrature():
    p, q, c = (0.8, 0.2), (0.3, 0.7), 5.0

    def mixture(w):
        return [w * a + (1 - w) * b for a, b in zip(p, q, strict=True)]

    def height(side, w):
        return math.exp(-c * sum(a * math.log(a / r) for a, r in zip(side, mixture(w), strict=True)))

    def slope(w):  # of x = exp(-c KL(q | r)), by the chain rule
        return height(q, w) * c * sum(b * (a - b) / r for a, b, r in zip(p, q, mixture(w), strict=True))

    # From (0, 1) straight to where w = 1, then along the curve; beyond w = 0 it falls straight down.
    exact = height(q, 1) + quad(lambda w: -height(p, w) * slope(w), 0, 1)[0]
    assert 0.1 < exact < 0.9
    assert divergence_area(law(*p), law(*q), points=4000) == pytest.approx(exact, rel=1e-5)
    assert divergence_area(law(*p), law(*q)) == pytest.approx(exact, rel=0.01)


def test_area_is_symmetric_and_falls_as_histograms_part():
    even = law(0.5, 0.5)
    areas = [divergence_area(even, law(0.5 + part, 0.5 - part)) for part in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] - areas[-1] > 0.5
    assert divergence_area(law(0.9, 0.1), even) == pytest.approx(divergence_area(even, law(0.9, 0.1)))


def test_a_smaller_scaling_gives_a_larger_area():
    p, q = law(0.8, 0.2), law(0.3, 0.7)
    assert divergence_area(p, q, scaling=5.0) < divergence_area(p, q, scaling=1.0) < 1


def test_smoothing_adds_half_a_text_to_every_cluster():
    assert smoothed(torch.tensor([3, 0, 1])).tolist() == pytest.approx([3.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5])


def test_clusters_are_those_of_the_points():
    corners = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    a = corners[[0, 0, 0, 1]] + 0.01 * torch.randn(4, 2)
    b = corners[[2, 2, 1, 2, 2]] + 0.01 * torch.randn(5, 2)
    counts = {tuple(pair) for pair in torch.stack(cluster_counts(a, b, 3, 0), dim=1).tolist()}
    assert counts == {(3, 0), (1, 1), (0, 4)}


def test_length_of_features_does_not_matter():
    a, b = cloud(60), cloud(60, 0.4, seed=1)
    scale = torch.rand(60, 1) + 0.5
    assert mauve(a * scale, b * 3, seed=0) == pytest.approx(mauve(a, b, seed=0))


def test_set_against_itself_is_one():
    assert mauve(cloud(100), cloud(100), seed=0) == pytest.approx(1.0)


def test_sets_that_never_meet_reach_the_limit_of_smoothing():
    # Two clusters with all 50 texts in one each: (50.5, 0.5) / 51 against its mirror image.
    value = mauve(cloud(50), -cloud(50), seed=0, clusters=2)
    assert value == pytest.approx(divergence_area(law(50.5 / 51, 0.5 / 51), law(0.5 / 51, 50.5 / 51)))
    assert value == pytest.approx(1 / 252, abs=0.01)


def test_value_falls_as_a_set_moves_away():
    values = [mauve(cloud(300), cloud(300, shift, seed=1), seed=0) for shift in (0.0, 0.3, 0.6, 1.2)]
    assert values[0] > 0.8
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.1


def test_value_falls_as_a_mixture_moves_away():
    far = cloud(300, 2.0, seed=2)
    values = [mauve(cloud(300), torch.cat([cloud(300 - k, seed=1), far[:k]]), seed=0) for k in (0, 75, 150, 300)]
    assert values == sorted(values, reverse=True)
    assert values[0] - values[-1] > 0.5


def test_neither_order_nor_side_changes_the_value():
    a, b = cloud(100), cloud(80, 0.3, seed=1)
    value = mauve(a, b, seed=3)
    assert mauve(b, a, seed=3) == pytest.approx(value, rel=1e-12)
    assert mauve(a[torch.randperm(100)], b.flip(0), seed=3) == pytest.approx(value, rel=1e-12)
    assert mauve(a, b, seed=3) == value


@pytest.mark.parametrize(("sizes", "clusters"), [((100, 80), 8), ((200, 200), 20), ((8, 9), 2)])
def test_one_cluster_for_ten_texts_of_the_smaller_set(sizes, clusters):
    a, b = cloud(sizes[0]), cloud(sizes[1], 0.3, seed=1)
    assert mauve(a, b, seed=0) == mauve(a, b, seed=0, clusters=clusters)
    assert mauve(a, b, seed=0) != mauve(a, b, seed=0, clusters=clusters + 1)


def test_texts_that_repeat_take_fewer_clusters():
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    a, b = points[[0] * 60], points[[0] * 30 + [1] * 30]
    assert [sorted(counts.tolist()) for counts in cluster_counts(a, b, 6, 0)] == [[0, 60], [30, 30]]


def test_vectors_that_all_agree_are_refused():
    with pytest.raises(ValueError, match="all 7 feature vectors"):
        mauve(torch.ones(4, 3), torch.ones(3, 3), seed=0)


def test_widths_that_differ_are_refused():
    with pytest.raises(ValueError, match="not 3 and 2"):
        mauve(torch.ones(4, 3), torch.ones(4, 2), seed=0)
