"""Which sequences a step sees."""

import numpy as np
import pytest

from ladd.training.batches import BatchOrder


@pytest.mark.parametrize(("size", "batch"), [(10, 4), (10, 5), (3, 7), (1, 2)])
def test_each_epoch_holds_every_sequence_once(size, batch):
    order = BatchOrder(size, batch, seed=1)
    stream = np.concatenate([order.indices(step) for step in range(4 * size)])
    for epoch in range(4 * batch):
        assert sorted(stream[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_epochs_have_orders_of_their_own():
    order = BatchOrder(50, 50, seed=1)
    assert not np.array_equal(order.indices(0), order.indices(1))
    assert not np.array_equal(order.indices(0), np.arange(50))


def test_a_step_does_not_depend_on_the_steps_before():
    order = BatchOrder(10, 4, seed=1)
    straight = [order.indices(step) for step in range(9)]
    assert np.array_equal(BatchOrder(10, 4, seed=1).indices(8), straight[8])
    assert np.array_equal(order.indices(0), straight[0])  # though later epochs have displaced its order


def test_seeds_give_different_orders():
    assert not np.array_equal(BatchOrder(50, 50, seed=1).indices(0), BatchOrder(50, 50, seed=2).indices(0))


def test_positions_never_repeat():
    order = BatchOrder(10, 4, seed=1)
    assert np.concatenate([order.positions(step) for step in range(5)]).tolist() == list(range(20))
