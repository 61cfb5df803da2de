"""A grid and its command say the same."""

from __future__ import annotations

import shlex

import pytest

from ladd.cli import make_parser
from ladd.cli.launch import grid_of
from ladd.launch.grid import Grid, command_of, flag

GRIDS = [
    Grid(name="study"),
    Grid(
        name="every-field",
        suite="suites/text-demo",
        kinds=["continuous", "discrete"],
        lengths=[3],
        codebooks=[5, 2],
        schedules=["sequential"],
        token_steps=[7],
        seeds=[5, 9],
        samples=11,
        latent_steps=2,
        stage1_steps=12,
        stage2_steps=13,
        discrete_model="di-ladd",
        continuous_model="ccdd",
        baselines=False,
        overrides={"seed": 3, "compute.device": "cuda", "sweeps.di-seq.frontier": {"token_steps": [1]}, "x.y": None},
    ),
    Grid(name="no-codes", kinds=["continuous"], codebooks=[]),
]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_command_gives_the_grid_back(grid):
    ladd, *arguments = shlex.split(command_of(grid))
    assert ladd == "ladd"
    assert grid_of(make_parser().parse_args(arguments)) == grid


def test_grid_of_the_test_changes_every_field():
    defaults = {name: field.default for name, field in Grid.model_fields.items()}
    assert [name for name, default in defaults.items() if getattr(GRIDS[1], name) == default] == []


def test_defaults_are_left_out():
    assert command_of(GRIDS[0]) == "ladd ablate study"


def test_flags_are_the_names_of_the_fields():
    assert (flag("stage1_steps"), flag("overrides")) == ("--stage1-steps", "--set")
