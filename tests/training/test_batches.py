"""Which sequences a step sees."""

import threading

import numpy as np
import pytest
import torch

from ladd.training.batches import Batch, Batches, BatchOrder


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


def numbered(step: int) -> Batch:
    return Batch(torch.tensor([step]), None)


@pytest.mark.parametrize("ahead", [False, True])
def test_batches_come_in_order_and_from_any_step(ahead):
    batches = Batches(numbered, 6, ahead=ahead)
    assert [int(batches[step].tokens) for step in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]


def test_next_batch_is_read_while_this_one_is_computed():
    read, begun = [], threading.Event()

    def slow(step: int) -> Batch:
        read.append((step, threading.current_thread() is threading.main_thread()))
        if step == 1:
            begun.set()
        return numbered(step)

    batches = Batches(slow, 2, ahead=True)
    batches[0]
    assert begun.wait(10)
    batches[1]
    assert read == [(0, False), (1, False)]  # nothing beyond the last step, and nothing twice


def test_an_error_of_reading_is_that_of_its_step():
    def broken(step: int) -> Batch:
        if step == 1:
            raise OSError("the disk is gone")
        return numbered(step)

    batches = Batches(broken, 3, ahead=True)
    batches[0]
    with pytest.raises(OSError, match="gone"):
        batches[1]


def test_part_of_a_batch():
    batch = Batch(torch.arange(4), torch.arange(4) * 10)
    assert [part.tolist() for part in batch.part(slice(1, 3))] == [[1, 2], [10, 20]]
    assert batch._replace(latents=None).part(slice(1, 3)).latents is None
