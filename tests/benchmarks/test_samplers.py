"""Exact denoisers against brute force, enumerated laws against all orders, and the table of samplers."""

import itertools

import numpy as np
import pytest
import torch

from benchmarks.exact import (
    BinaryMixture,
    Grids,
    UnderUniformNoise,
    equal_group_probability,
    masked_source,
)
from benchmarks.sampler_tables import Cell, Line, cell_of_seeds, table, write_between
from benchmarks.samplers import CLASSES, Setting, class_distance, class_floor, enumerated_law, settings, shidoku_cell
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.uniform import UniformProcess
from ladd.samplers.first_hitting import FirstHitting
from ladd.samplers.surest_first import SurestFirst
from ladd.tasks.shidoku.grids import CELLS, SIDE, ShidokuReference, all_grids
from tests.samplers.known_answers import ONES, every_sequence, mixture
from tests.samplers.token_cases import Hollow, LeaveOneOut

GRIDS = torch.from_numpy(all_grids().astype(np.int64))
SOURCE = masked_source(Grids(all_grids(), SIDE), CELLS, SIDE)


def partly_shown(x: torch.Tensor, mask_id: int) -> torch.Tensor:
    shown = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.4
    return torch.where(shown, x, mask_id)


def test_masked_cells_are_those_of_the_reference():
    x = partly_shown(GRIDS, SIDE)
    ours, theirs = (denoiser(x).exp() for denoiser in (Grids(all_grids(), SIDE), ShidokuReference(all_grids())))
    assert torch.equal(ours[x == SIDE], theirs[x == SIDE])
    contradiction = torch.full((1, CELLS), SIDE)
    contradiction[0, :2] = 0
    assert torch.allclose(Grids(all_grids(), SIDE)(contradiction).exp()[0, 2:], torch.tensor(0.25).double())


def test_a_revealed_cell_is_what_the_others_say_of_it():
    x = partly_shown(GRIDS, SIDE)
    ours = Grids(all_grids(), SIDE)(x).exp()
    for cell in range(CELLS):
        without = x.clone()
        without[:, cell] = SIDE
        assert torch.equal(ours[:, cell], ShidokuReference(all_grids())(without).exp()[:, cell])


def test_a_revealed_bit_is_what_the_others_say_of_it():
    prior = torch.full((len(ONES),), 1 / len(ONES), dtype=torch.float64)
    x = torch.cartesian_prod(*[torch.arange(3)] * 4)
    ours, theirs = BinaryMixture(ONES.numpy())(x), Hollow(mixture(prior, ONES))(x, torch.ones(len(x)))
    assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("t", [1.0, 0.4])
def test_under_uniform_noise_a_token_is_what_the_others_say_of_it(t):
    prior = torch.full((len(ONES),), 1 / len(ONES), dtype=torch.float64)
    law, x, times = mixture(prior, ONES), every_sequence(4), torch.full((16,), t, dtype=torch.float64)
    ours = UnderUniformNoise(torch.stack([1 - ONES, ONES], dim=-1))(x, times)
    theirs = LeaveOneOut(every_sequence(4), law.of_tokens(), 2)(x, times)
    assert torch.allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_equal_groups_are_the_mean_over_all_orders(steps):
    sequences = torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0], [2, 2, 1, 1], [0, 1, 1, 2], [0, 0, 1, 1]])
    denoiser, x, size = Grids(sequences.numpy(), 3), sequences[0], 4 // steps
    found = []
    for order in itertools.permutations(range(4)):
        state, probability = torch.full((1, 4), 3), 1.0
        for group in (order[place : place + size] for place in range(0, 4, size)):
            said = denoiser(state)[0].exp()
            for position in group:
                probability *= float(said[position, x[position]])
                state[0, position] = x[position]
        found.append(probability)
    assert equal_group_probability(sequences.numpy(), x.numpy(), steps) == pytest.approx(np.mean(found), rel=1e-12)


def test_class_distance_of_known_samples():
    assert class_distance(GRIDS)[0] == pytest.approx(0, abs=1e-12)
    assert class_distance(torch.zeros(10, CELLS, dtype=torch.long))[0] == 1
    half = torch.cat([GRIDS, torch.zeros_like(GRIDS)])
    assert class_distance(half)[0] == pytest.approx(0.5)
    assert class_distance(GRIDS[:1].expand(5, -1))[0] == pytest.approx(1 - 1 / CLASSES)
    perfect = GRIDS[torch.randint(288, (4000,), generator=torch.Generator().manual_seed(1))]
    assert class_distance(perfect)[0] == pytest.approx(class_floor(4000), abs=0.01)


@pytest.mark.parametrize("kind", [FirstHitting, SurestFirst])
def test_enumerated_laws_are_those_of_samples(kind):
    """Validity, which samples estimate without bias, of laws that are neither exact nor hopeless."""
    setting, steps, count = Setting(kind, {}), 8, 4000
    sampler = setting.sampler(SOURCE, steps)
    law = enumerated_law(setting, sampler, steps)
    assert 0.05 < law.valid < 0.7
    x = shidoku_samples(sampler, count)
    valid = (x[:, None] == GRIDS).all(dim=2).any(dim=1).double()
    assert float(valid.mean()) == pytest.approx(law.valid, abs=5 * (law.valid * (1 - law.valid) / count) ** 0.5)


def shidoku_samples(sampler, count: int) -> torch.Tensor:
    from benchmarks.samplers import draw

    return draw(sampler, count, CELLS, SIDE, 0).tokens


def test_a_token_per_step_is_exact():
    cell = shidoku_cell(Setting(SurestFirst, {"by": "margin"}), SOURCE, CELLS, 100)
    assert cell.exact
    assert cell.value == pytest.approx(0, abs=1e-12)
    assert cell.passes == CELLS


def test_every_sampler_has_a_line_of_its_process():
    masked, uniform = ({row.kind.name for row in settings(process)} for process in (MaskedProcess, UniformProcess))
    assert {"ancestral", "psi"} == masked & uniform
    assert "loo-gibbs" in uniform
    assert {"first-hitting", "remdm-loop", "informed-corrector", "entropy-bounded"} < masked


def test_the_best_of_a_budget_is_bold_and_what_is_as_good_within_the_error():
    lines = [
        Line("real data", "", "", [Cell(0.0, 0.0, 0.0)]),
        Line("a", "", "masked", [Cell(1.0, 0.1, 1.0)]),
        Line("b", "x 2", "masked", [Cell(1.2, 0.1, 0.5)]),
        Line("c", "", "masked", [Cell(1.5, 0.0, 1.0, exact=True)]),
    ]
    rows = table("T", lines, [1], digits=2).splitlines()[4:]
    assert rows == [
        "| real data |  |  | 0.00 |",
        "| `a` |  | masked | **1.00 ± 0.10** |",
        "| `b` | x 2 | masked | **1.20 ± 0.10** (0.5) |",
        "| `c` |  | masked | 1.50 = |",
    ]
    upwards = table("T", lines, [1], digits=2, better="higher").splitlines()[4:]
    assert ["**" in row for row in upwards] == [False, False, False, True]
    assert cell_of_seeds([1.0, 3.0], [2.0, 4.0]) == Cell(2.0, 1.0, 3.0)


def test_a_table_takes_the_place_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- begin one -->\nold\n<!-- end one -->\nafter\n")
    write_between(page, "one", "new\n")
    write_between(page, "two", "more")
    assert page.read_text() == (
        "# Page\n\n<!-- begin one -->\nnew\n<!-- end one -->\nafter\n\n<!-- begin two -->\nmore\n<!-- end two -->\n"
    )
    page.write_text("<!-- begin one -->")
    with pytest.raises(SystemExit, match="has no <!-- end one -->"):
        write_between(page, "one", "new")
