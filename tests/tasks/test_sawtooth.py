"""The controlled task and its known values."""

import numpy as np
import pytest

from ladd.tasks.sawtooth import draw_sequences, one_probability

SETTINGS = {"tokens": 32, "periods": 2, "floor": 0.01}


def test_probability_has_the_values_of_the_formula():
    probability = one_probability(np.array([0.0, 0.125]), **SETTINGS)
    assert probability.shape == (2, 32)
    assert probability[0, [0, 4, 8, 16]] == pytest.approx([0.01, 0.5, 0.99, 0.01])
    assert probability[1, 0] == pytest.approx(0.5)


def test_shift_moves_the_sequence_round():
    probability = one_probability(np.array([0.0, 3 / 32]), **SETTINGS)
    assert probability[1] == pytest.approx(np.roll(probability[0], -3))


def test_oracle_entropy_is_that_of_the_reference():
    p = one_probability((np.arange(20_000) + 0.5) / 20_000, **SETTINGS)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert entropy == pytest.approx(0.50958, abs=1e-5)


def test_sequences_have_the_marginals_of_the_task():
    x = draw_sequences(20_000, 0, "train", **SETTINGS)
    assert x.dtype == np.uint8
    assert abs(x.mean(axis=0) - 0.5).max() < 5 * 0.5 / 20_000**0.5
    # Averaged over the shift, positions a quarter period apart are uncorrelated, half a period apart opposite.
    centred = x - 0.5
    exact = one_probability((np.arange(4096) + 0.5) / 4096, **SETTINGS) - 0.5
    for lag in (1, 4, 8):
        expected = (exact[:, 0] * exact[:, lag]).mean()
        assert abs((centred[:, 0] * centred[:, lag]).mean() - expected) < 5 * 0.25 / 20_000**0.5


def test_splits_are_reproducible_and_differ():
    train = draw_sequences(50, 0, "train", **SETTINGS)
    assert np.array_equal(train, draw_sequences(50, 0, "train", **SETTINGS))
    assert not np.array_equal(train, draw_sequences(50, 0, "validation", **SETTINGS))
    assert not np.array_equal(train, draw_sequences(50, 1, "train", **SETTINGS))
