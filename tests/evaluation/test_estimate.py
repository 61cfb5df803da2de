"""Errors of grouped values: by hand, against resampling of groups, and their coverage."""

from __future__ import annotations

import math

import pytest
import torch

from ladd.evaluation.estimate import estimate, perplexity, ratio


def clustered(groups: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Values whose groups, of 5 to 40 values, have means of their own; the overall mean is 4."""
    sizes = torch.randint(5, 41, (groups,), generator=generator)
    group = torch.arange(groups).repeat_interleave(sizes)
    level = 0.3 * torch.randn(groups, generator=generator, dtype=torch.float64)
    return 4 + level[group] + 0.5 * torch.randn(len(group), generator=generator, dtype=torch.float64), group


def test_error_of_groups_is_that_of_their_sums():
    # Mean 4; deviations -3 and 1, -1 and 3: the groups' sums are -2 and 2, (8 x 2 / 1) ** 0.5 / 4.
    value, stderr, n = estimate(torch.tensor([1.0, 5.0, 3.0, 7.0]), torch.tensor([8, 8, 3, 3]))
    assert (value, n) == (4.0, 4)
    assert stderr == pytest.approx(1.0)


def test_groups_of_one_are_independent_values():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert estimate(values, torch.arange(50)) == pytest.approx(estimate(values))
    assert ratio(values, torch.ones(50)) == pytest.approx(estimate(values))


def test_repeating_every_value_does_not_make_the_error_smaller():
    values = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tenfold = estimate(values.repeat_interleave(10), torch.arange(50).repeat_interleave(10))
    assert tenfold.stderr == pytest.approx(estimate(values).stderr)
    assert estimate(values.repeat_interleave(10)).stderr < 0.4 * tenfold.stderr


def test_a_single_group_has_a_value_and_no_known_error():
    assert estimate(torch.tensor([1.0, 3.0]), torch.tensor([5, 5])) == (2.0, None, 2)
    assert perplexity(torch.tensor([1.0, 3.0]), torch.tensor([5, 5])) == (pytest.approx(math.exp(2)), None, 2)


def test_a_single_value_has_no_known_error():
    assert estimate(torch.tensor([3.0])) == (3.0, None, 1)


def test_error_is_that_of_a_bootstrap_over_groups():
    generator = torch.Generator().manual_seed(1)
    values, group = clustered(80, generator)
    sums = torch.zeros(80, dtype=torch.float64).index_add(0, group, values)
    sizes = group.bincount()
    draws = torch.randint(80, (4000, 80), generator=generator)
    means = sums[draws].sum(dim=1) / sizes[draws].sum(dim=1)
    found = estimate(values, group)
    assert found.stderr == pytest.approx(float(means.std()), rel=0.08)
    assert estimate(values).stderr < 0.6 * found.stderr  # as if all were independent: too small
    grouped = perplexity(values, group)
    assert grouped.stderr == pytest.approx(float(means.exp().std()), rel=0.08)
    assert grouped.value == perplexity(values).value


def test_error_of_groups_covers_the_truth():
    generator = torch.Generator().manual_seed(2)
    distances = []
    for _ in range(400):
        value, stderr, _ = estimate(*clustered(40, generator))
        distances.append((value - 4) / stderr)
    assert float(torch.tensor(distances).std()) == pytest.approx(1.0, abs=0.12)


def test_error_of_a_ratio_is_that_of_a_bootstrap_over_groups():
    generator = torch.Generator().manual_seed(3)
    values, group = clustered(80, generator)
    below = 1 + torch.rand(len(values), generator=generator, dtype=torch.float64) * values
    tops, bottoms = (torch.zeros(80, dtype=torch.float64).index_add(0, group, part) for part in (values, below))
    draws = torch.randint(80, (4000, 80), generator=generator)
    ratios = tops[draws].sum(dim=1) / bottoms[draws].sum(dim=1)
    found = ratio(values, below, group)
    assert found.value == pytest.approx(float(values.sum() / below.sum()))
    assert found.stderr == pytest.approx(float(ratios.std()), rel=0.08)
