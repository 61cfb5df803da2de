"""The bound of K steps on a grid: in closed form, and the grid that it is least on; the sweep that is written."""

import math

import pytest
import torch
import yaml

import ladd
from ladd.config import load_suite
from ladd.diffusion.masked import MaskedProcess
from ladd.errors import ConfigError
from ladd.generation.grid_bound import Grid, GridBound
from ladd.generation.search import add_sweep, entry, free_settings, least, search, with_sweep
from tests.samplers.known_answers import LINEAR, ExactDenoiser, ExactTokenDenoiser, Law, pair_source, token_source
from tests.samplers.test_latents_first import model_of

TOKENS, COUNT, LOG2 = 4, 20000, math.log(2)
# N copies of one fair bit, and a code that is the bit.
COPIES = torch.tensor([[0] * TOKENS, [1] * TOKENS])
LAW = Law(COPIES, torch.tensor([[0], [1]]), torch.tensor([0.5, 0.5]))
BITS = torch.arange(COUNT) % 2


def of_tokens(steps: int = 2, count: int = COUNT) -> GridBound:
    source = token_source(ExactTokenDenoiser(LAW), MaskedProcess(LINEAR, 2))
    return GridBound(source, COPIES[BITS[:count]], None, token_steps=steps, along=False)


def of_both(**options) -> GridBound:
    source = pair_source(model_of(ExactDenoiser(LAW), 2), "discrete", (1, 2), process=MaskedProcess(LINEAR, 2))
    return GridBound(source, COPIES[BITS], BITS[:, None], **options)


@pytest.mark.parametrize("lag", [1.0, 1.5, 4.0])
def test_two_steps_of_copies_in_closed_form(lag):
    """1 - s of the tokens are drawn without knowing the bit; then all of them, where none was revealed: s^N."""
    s, values = 0.5 ** (1 / lag), of_tokens()(Grid(lag))
    assert float(values.mean()) == pytest.approx(LOG2 * (1 - s + s**TOKENS), abs=5 * float(values.std()) / COUNT**0.5)


def test_one_step_costs_every_token_whole():
    assert torch.allclose(of_tokens(1, 10)(Grid()), torch.tensor(LOG2, dtype=torch.float64))


@pytest.mark.parametrize("grid", [Grid(1.0, 1.0), Grid(1.0, 4.0), Grid(4.0, 8.0)])
def test_codes_that_go_along_add_their_own_term(grid):
    s = 0.5 ** (1 / grid.token_lag)
    s_z, blind = s**grid.latent_lead, s**TOKENS
    nats = (1 - s) * TOKENS + blind * s_z * TOKENS + (1 - s_z) + s_z * blind
    values = of_both(token_steps=2, along=True)(grid)
    assert float(values.mean()) == pytest.approx(LOG2 * nats / TOKENS, abs=5 * float(values.std()) / COUNT**0.5)


def test_codes_that_come_first_leave_nothing_to_tokens():
    values = of_both(token_steps=2, along=False, latent_steps=1)(Grid(2.0))
    assert torch.allclose(values, torch.tensor(LOG2 / TOKENS, dtype=torch.float64))


def test_the_best_grid_of_copies_is_found():
    """1 - s + s^N is least at s = N^(-1 / (N - 1)) = 2^(-2/3), which is a lag of 3/2."""
    bound = of_tokens()
    found, tried = least(lambda grid: float(bound(grid).mean()), ("token_lag",), Grid(4.0))
    assert found.token_lag == pytest.approx(1.5, abs=0.15)
    assert tried > 12


def test_a_better_grid_between_two_of_the_list_is_found():
    found, _ = least(
        lambda grid: (math.log(grid.token_lag / 2.4)) ** 2 + (math.log(grid.latent_lead / 11)) ** 2,
        ("token_lag", "latent_lead"),
        Grid(),
    )
    assert found.token_lag == pytest.approx(2.4, rel=0.1)
    assert found.latent_lead == pytest.approx(11, rel=0.1)


def test_vectors_that_go_along_have_no_bound():
    source = pair_source(model_of(ExactDenoiser(LAW), 2), "continuous", (1, 2), process=MaskedProcess(LINEAR, 2))
    with pytest.raises(ConfigError, match="continuous latents that go along with tokens have no likelihood"):
        GridBound(source, COPIES, torch.zeros(2, 1, 2), token_steps=2, along=True)


PARAMS = """suite: saw # a suite
sweeps:
  # the first
  one: {model: m, token_steps: [1, 2]}

# what follows
evaluation: {kind: x}
"""


def test_a_sweep_is_added_below_the_others_and_nothing_else_changes(tmp_path):
    text = with_sweep(PARAMS, "two", "{extends: one, token_lag: 2.0}", tmp_path)
    line = "  two: {extends: one, token_lag: 2.0}\n"
    assert text.replace(line, "") == PARAMS
    assert yaml.safe_load(text)["sweeps"]["two"] == {"extends": "one", "token_lag": 2.0}
    alone = with_sweep("suite: saw\n", "two", "{extends: one}", tmp_path)
    assert yaml.safe_load(alone)["sweeps"] == {"two": {"extends": "one"}}
    with pytest.raises(ConfigError, match="the block is written on one line"):
        with_sweep("sweeps: {one: {}}\n", "two", "{}", tmp_path)


@pytest.fixture
def model(suite, sawtooth):
    return ladd.load(next(key for key, each in suite.sweeps.items() if each.schedule == "joint" and each.model == "di"))


def test_a_search_says_its_gain_on_other_sequences(model, sawtooth):
    found = search(model, 2, sequences=8, draws=1)
    assert found.free == ("token_lag", "latent_lead")
    assert found.gain.value == pytest.approx(found.own_bound.value - found.bound.value, abs=1e-9)
    assert found.gain.n == 3  # half of those that there are
    name = model.name.partition(".")[2]
    line, before = entry(name, found, 2), (sawtooth / "params.yaml").read_text()
    try:
        add_sweep(sawtooth, "best", line)
        sweep = load_suite(sawtooth / "params.yaml").sweeps["best"]
        assert (sweep.token_lag, sweep.latent_lead) == found.grid
        assert sweep.token_steps == [2]
        assert sweep.model == model.key
        with pytest.raises(ConfigError, match="has a sweep of that name"):
            add_sweep(sawtooth, "best", line)
    finally:
        (sawtooth / "params.yaml").write_text(before)


def test_a_sweep_that_is_not_valid_is_not_written(model, sawtooth):
    before = (sawtooth / "params.yaml").read_text()
    with pytest.raises(ConfigError, match="token_lag"):
        add_sweep(sawtooth, "best", f"{{extends: {model.name.partition('.')[2]}, token_lag: 0.5}}")
    assert (sawtooth / "params.yaml").read_text() == before
    assert not [*sawtooth.glob(".params.yaml*")]


def test_what_has_no_grid_is_an_error(model, suite):
    with pytest.raises(ConfigError, match="one step has no grid"):
        free_settings(model, model.default, 1)
    masked = ladd.load("baselines.mdlm")
    sweep = masked._sweep({"schedule": "first-hitting"}, 0)
    with pytest.raises(ConfigError, match="'first-hitting' has no time grid to bend"):
        free_settings(masked, sweep, 2)
