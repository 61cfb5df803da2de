"""The time grid, and filling of revealed positions."""

import itertools

import pytest
import torch

from ladd.diffusion import heads
from ladd.diffusion.masked import MaskedProcess, fill
from ladd.diffusion.process import DrawSettings, Prediction
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample, time_grid
from ladd.samplers.sources import share_equal_rows
from tests.builders import TableDenoiser
from tests.samplers.known_answers import (
    LINEAR,
    MASK,
    TOKENS,
    VOCABULARY,
    ConstantHead,
    all_masked,
    noise,
    record,
    token_source,
)


@pytest.mark.parametrize("steps", [1, 3, 128])
def test_grid_runs_uniformly_from_one_to_zero(steps):
    grid = list(time_grid(steps, torch.device("cpu")))
    assert [step.index for step in grid] == list(range(steps))
    assert float(grid[0].t) == 1.0
    assert float(grid[-1].s) == 0.0
    assert all(torch.equal(a.s, b.t) for a, b in itertools.pairwise(grid))
    assert [float(step.t - step.s) for step in grid] == pytest.approx([1 / steps] * steps)


REVEAL = torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
STATE = torch.tensor([[9, 4, 9], [9, 5, 6], [9, 9, 7]])


def filled(rows: list[bool]) -> tuple[torch.Tensor, list[tuple]]:
    rows = torch.tensor(rows)
    head = torch.nn.Identity()
    calls = record(head)
    # The hidden state of a position is its only possible value: 3 x row + position.
    hidden = torch.full((3, 3, 9), -torch.inf)
    hidden[torch.arange(3)[:, None], torch.arange(3), torch.arange(9).view(3, 3)] = 0.0
    uniform = torch.rand(3, 3, dtype=torch.float64)
    return fill(STATE, REVEAL, Prediction(hidden[rows], head, rows), uniform, DrawSettings()), calls


@pytest.mark.parametrize("rows", [[True, False, True], [True, True, True]])
def test_revealed_positions_take_the_value_of_their_own_hidden_state(rows):
    x, _ = filled(rows)
    assert x.tolist() == [[0, 4, 2], [9, 5, 6], [9, 7, 7]]


def test_head_runs_on_revealed_positions_alone():
    _, calls = filled([True, False, True])
    assert [len(hidden) for (hidden,) in calls] == [3]


@pytest.mark.parametrize("together", [True, False])
def test_a_large_head_runs_on_a_few_positions_at_a_time(together, monkeypatch):
    head = torch.nn.Linear(9, 40)
    calls, every = record(head), torch.ones(3, dtype=torch.bool)
    hidden, uniform = torch.randn(1 if together else 3, 3, 9), torch.rand(3, 3, dtype=torch.float64)

    def drawn() -> torch.Tensor:
        return fill(STATE, every[:, None].expand(3, 3), Prediction(hidden, head, every), uniform, DrawSettings())

    expected = drawn()
    monkeypatch.setattr(heads, "LOGITS_AT_A_TIME", 85)
    assert torch.equal(drawn(), expected)
    positions = 3 if together else 9
    assert [len(hidden) for (hidden,) in calls] == [positions, *([2, 1] if together else [2, 2, 2, 2, 1])]


def test_fill_does_not_change_its_input():
    before = STATE.clone()
    filled([True, False, True])
    assert torch.equal(STATE, before)


def test_each_position_uses_its_own_draw():
    everywhere, rows = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    uniform = torch.tensor([[0.1, 0.9, 0.1], [0.9, 0.1, 0.9]], dtype=torch.float64)
    state, hidden, head = torch.full((2, 3), 2), torch.zeros(2, 3, 1), ConstantHead([0.0, 0.0])
    x = fill(state, everywhere, Prediction(hidden, head, rows), uniform, DrawSettings())
    assert x.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_samples_that_share_a_hidden_state_draw_from_one_distribution_per_position():
    # Position i gives i or i + 1, with odds 1 : 1.
    logits = torch.full((1, 3, 4), -torch.inf)
    logits[0, torch.arange(3), torch.arange(3)] = logits[0, torch.arange(3), torch.arange(1, 4)] = 0.0
    head = torch.nn.Identity()
    calls, every = record(head), torch.ones(3, dtype=torch.bool)
    uniform = torch.tensor([[0.2, 0.3, 0.7], [0.1, 0.1, 0.1], [0.8, 0.9, 0.6]], dtype=torch.float64)
    x = fill(STATE, REVEAL, Prediction(logits, head, every), uniform, DrawSettings())
    assert x.tolist() == [[0, 4, 3], [9, 5, 6], [9, 2, 7]]
    assert [len(hidden) for (hidden,) in calls] == [3]


def test_equal_rows_become_one():
    equal, other = torch.full((4, 2), 7), torch.tensor([[1, 2], [1, 2], [1, 3], [1, 2]])
    first, second = share_equal_rows(lambda *inputs: inputs)(equal, other)
    assert first.tolist() == [[7, 7]]
    assert second is other
    assert share_equal_rows(lambda *inputs: inputs, False)(equal) == (equal,)


def test_callback_sees_every_step_and_no_state_changes_afterwards():
    denoiser, process, seen = TableDenoiser(TOKENS, VOCABULARY), MaskedProcess(LINEAR, MASK), []
    sampler = Ancestral(source=token_source(denoiser, process), token_steps=4)
    samples = sample(sampler, all_masked(5), noise(5), lambda step, state: seen.append((step.index, state)))
    assert [index for index, _ in seen] == [0, 1, 2, 3]
    for (_, before), (_, after) in itertools.pairwise(seen):
        shown = before.tokens != MASK
        assert torch.equal(before.tokens[shown], after.tokens[shown])
        assert (after.token_passes >= before.token_passes).all()
    assert (seen[0][1].tokens == MASK).any()
    assert torch.equal(seen[-1][1].tokens, samples.tokens)
