"""The average of the weights."""

import pytest
import torch
from torch import nn

from ladd.training.loop import WeightAverage


def scalar_model(value: float) -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_average_is_that_of_a_hand_computation():
    model = scalar_model(1.0)
    average, expected = WeightAverage(model, decay=0.2), 1.0
    for value, decay in [(2.0, 1 / 10), (5.0, 2 / 11), (-1.0, 0.2), (4.0, 0.2)]:  # 3/12 is above 0.2
        nn.init.constant_(model.weight, value)
        average.update(model)
        expected = decay * expected + (1 - decay) * value
        assert average.model.weight.item() == pytest.approx(expected)
    assert average.updates == 4


def test_high_decay_is_warmed_up():
    model = scalar_model(0.0)
    average = WeightAverage(model, decay=0.9999)
    average.updates = 90
    nn.init.constant_(model.weight, 1.0)
    average.update(model)
    assert average.model.weight.item() == pytest.approx(1 - 91 / 100)


def test_average_starts_as_a_copy_and_does_not_follow_by_itself():
    model = scalar_model(3.0)
    average = WeightAverage(model, decay=0.9)
    nn.init.constant_(model.weight, 7.0)
    assert average.model.weight.item() == 3.0


def test_buffers_are_copied():
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, decay=0.9)
    model(torch.randn(8, 2) + 5)
    average.update(model)
    assert torch.equal(average.model.running_mean, model.running_mean)
    assert average.model.num_batches_tracked == 1


def test_average_is_in_evaluation_mode_and_without_gradients():
    average = WeightAverage(nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5)).train(), decay=0.9)
    assert not average.model.training
    assert not average.model[1].training
    assert not any(p.requires_grad for p in average.model.parameters())
