"""Categorical draws by inversion."""

import math

import pytest
import torch

from ladd.diffusion import heads
from ladd.diffusion.heads import draw_behind_head, draw_categorical
from ladd.diffusion.noise import SampleNoise
from ladd.errors import SamplingError

SAMPLES, TOKENS = 500, 40
UNIFORMS = SampleNoise(0, torch.arange(SAMPLES))


def grid(count: int) -> torch.Tensor:
    """Midpoints of ``count`` strata: counts of a draw by inversion are then exact to one."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_categorical_draws_have_their_probabilities(temperature, precision):
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0])
    draws = draw_categorical(logits.expand(10_000, 4), grid(10_000), temperature=temperature, precision=precision)
    expected = torch.softmax(logits.double() / temperature, dim=0)
    assert (draws.bincount(minlength=4) / 10_000 - expected).abs().max() < 2e-4


def test_categorical_draws_of_random_uniforms_pass_chi_square():
    logits = torch.randn(6)
    draws = draw_categorical(logits.expand(SAMPLES * TOKENS, 6), UNIFORMS.uniform("token", 0, TOKENS).flatten())
    expected = torch.softmax(logits.double(), dim=0) * SAMPLES * TOKENS
    assert ((draws.bincount(minlength=6) - expected) ** 2 / expected).sum() < 5 + 5 * math.sqrt(10)


def test_each_row_is_drawn_from_its_own_logits():
    logits = torch.full((3, 3), -math.inf)
    logits[[0, 1, 2], [2, 0, 1]] = 1.0
    assert draw_categorical(logits, grid(3)).tolist() == [2, 0, 1]


def test_many_draws_from_each_row():
    logits, uniform = torch.randn(3, 50), UNIFORMS.uniform("token", 0, 7)[:3]
    draws = draw_categorical(logits, uniform)
    assert draws.shape == (3, 7)
    for column in range(7):
        assert torch.equal(draws[:, column], draw_categorical(logits, uniform[:, column]))


@pytest.mark.parametrize("bound", [1, 101, 160, 350])
@pytest.mark.parametrize("shape", [(7,), (7, 3)])
def test_draws_in_parts_are_the_draws_of_all_at_once(bound, shape, monkeypatch):
    logits, uniform = torch.randn(7, 50), torch.rand(shape, dtype=torch.float64)
    expected, largest, softmax = draw_categorical(logits, uniform), [], torch.softmax
    monkeypatch.setattr(heads, "LOGITS_AT_A_TIME", bound)
    monkeypatch.setattr(torch, "softmax", lambda x, dim: largest.append(x.numel()) or softmax(x, dim))
    assert torch.equal(draw_behind_head(torch.nn.Identity(), logits, uniform), expected)
    assert max(largest) <= max(bound, 50)  # a row at the least


def test_nothing_is_drawn_for_no_rows():
    assert draw_categorical(torch.zeros(0, 5), torch.zeros(0, dtype=torch.float64)).shape == (0,)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("uniform", [2.0**-53, 1e-9, 0.5, 1 - 1e-9, 1 - 2.0**-53])
@pytest.mark.parametrize("impossible", [[0], [1], [3], [0, 1, 3], [2, 3]])
def test_impossible_tokens_are_never_drawn(impossible, uniform, precision):
    logits = torch.tensor([0.0, 1.0, 2.0, 0.5])
    logits[impossible] = -math.inf
    draw = draw_categorical(logits[None], torch.tensor([uniform], dtype=torch.float64), precision=precision)
    assert int(draw) not in impossible


def test_float64_resolves_a_tail_that_float32_loses():
    logits = torch.tensor([[0.0, 0.0, 0.0, math.log(3e-11)]])
    uniform = torch.tensor([1 - 1e-12], dtype=torch.float64)
    assert draw_categorical(logits, uniform, precision="float64") == 3
    assert draw_categorical(logits, uniform, precision="float32") != 3


def test_default_precision_is_float64():
    logits = torch.tensor([[0.0, 0.0, 0.0, math.log(3e-11)]])
    assert draw_categorical(logits, torch.tensor([1 - 1e-12], dtype=torch.float64)) == 3


def test_low_temperature_takes_the_largest_logit():
    logits = torch.randn(50, 7)
    assert torch.equal(draw_categorical(logits, grid(50), temperature=1e-4), logits.argmax(dim=-1))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_no_distribution_are_an_error(bad):
    logits = torch.zeros(2, 3)
    logits[1] = bad
    with pytest.raises(SamplingError, match="categorical draw"):
        draw_categorical(logits, torch.full((2,), 0.5))
