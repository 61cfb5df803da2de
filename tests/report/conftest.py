"""Two small hand-made compare tables: of the sawtooth and of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from matplotlib.figure import Figure

ROW = {
    "suite": "sawtooth",
    "model": "mdlm",
    "family": "mdlm",
    "schedule": "none",
    "L": None,
    "K": None,
    "w": None,
    "token_steps": None,
    "latent_steps": None,
    "temperature": None,
    "given": "",
    "nfe": None,
    "gmacs_per_sample": None,
    "nominal_gmacs_per_sample": None,
    "gflops_per_sample": None,
    "seconds_per_sample": None,
    "metric": "swd",
    "value": 0.1,
    "stderr": 0.01,
    "n": 100,
    "precision": "float64",
    "evaluator_version": "1",
    "tokenizer": "",
    "seed": None,
    "replicate": 1,
}


def row(**values: Any) -> dict[str, Any]:
    """One row of the table: the defaults above with ``values`` in their place."""
    assert values.keys() <= ROW.keys()
    return ROW | values


def swd(values: list[float], steps: int | None, **others: Any) -> list[dict[str, Any]]:
    """One row per sampling seed."""
    cost = {"nfe": steps, "gmacs_per_sample": None if steps is None else 0.5 * steps}
    cost |= {"nominal_gmacs_per_sample": cost["gmacs_per_sample"]}
    return [row(value=value, seed=seed, token_steps=steps, **cost | others) for seed, value in enumerate(values)]


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """References, MDLM at 1 and 4 steps, AR at 8, and Di-LADD under both schedules; two seeds or three."""
    ladd = {"model": "di-ladd-k4", "family": "di-ladd", "L": 1, "K": 4, "w": 8}
    real = {"model": "real", "family": "real"}
    sequential = ladd | {"schedule": "sequential", "latent_steps": 1, "nfe": 2}
    return [
        row(model="oracle", family="oracle", metric="token_loss_clean_latent", value=0.5096, stderr=None),
        row(model="exact", family="exact", metric="entropy_rate", value=0.5675, stderr=None),
        row(metric="token_elbo", value=0.5731, stderr=0.0011),
        row(metric="full_bound", value=0.5802, stderr=0.0012, schedule="joint", **ladd),
        *swd([0.003, 0.005], None, **real),
        *swd([0.10, 0.14, 0.12], 1),
        *swd([0.02, 0.03, 0.04], 4),
        *swd([0.006], 8, model="ar", family="ar"),
        *swd([0.09, 0.11], 1, schedule="joint", **ladd),
        *swd([0.02, 0.02], 4, schedule="joint", **ladd),
        *swd([0.007, 0.009], 1, **sequential),
    ]


def text(values: dict[int, tuple[float, float, float]], passes: int = 0, **others: Any) -> list[dict[str, Any]]:
    """Gen PPL, its standard error and the entropy by token steps: two seeds each, whose spread is that error.

    A pass costs ``unit`` (10 unless given) x 10^9 multiply-adds; ``passes`` are those of latents, beside token steps.
    """
    unit = others.pop("unit", 10.0)
    made = []
    for steps, (value, error, entropy) in values.items():
        cost = unit * (steps + passes)
        common = {"suite": "text", "tokenizer": "bpe", "token_steps": steps, "temperature": 1.0}
        common |= {"gmacs_per_sample": 0.9 * cost, "nominal_gmacs_per_sample": cost}
        common |= {"gflops_per_sample": 2 * cost + steps, "seconds_per_sample": cost / 1000}
        common |= others
        for seed, sign in enumerate((-1, 1)):
            made.append(row(metric="gen_ppl", value=value + sign * error, seed=seed, **common))
            made.append(row(metric="entropy_sequence", value=entropy + sign * 0.01, seed=seed, **common))
    return made


CO = {"model": "co-8", "family": "co-ladd", "schedule": "joint", "L": 8, "w": 32}
DI = {"model": "di-8", "family": "di-ladd", "schedule": "sequential", "L": 8, "K": 512, "w": 128, "latent_steps": 2}


@pytest.fixture
def text_rows() -> list[dict[str, Any]]:
    """References, AR, MDLM, Co-LADD at 8 per step, Di-LADD with two latent passes first and another entropy."""
    likelihood = {"suite": "text", "tokenizer": "bpe", "precision": "float32", "n": 64}
    free = {"token_steps": None, "temperature": None, "gmacs_per_sample": None, "gflops_per_sample": None}
    free |= {"nominal_gmacs_per_sample": None, "seconds_per_sample": None}
    return [
        *text({0: (42.0, 1.0, 4.40)}, model="real", family="real", **free),
        *text({0: (1260.0, 9.0, 4.40)}, model="shuffled", family="shuffled", **free),
        row(metric="val_ppl", model="unigram", family="unigram", value=500.0, **likelihood | {"precision": "float64"}),
        row(metric="val_ppl", value=90.0, stderr=0.9, **likelihood),
        row(metric="zero_shot_ppl/news", value=140.0, stderr=2.0, **likelihood | {"n": 32}),
        row(metric="val_ppl", value=80.0, stderr=0.8, **CO, **likelihood),
        row(metric="zero_shot_ppl/news", value=120.0, stderr=2.0, **CO, **likelihood | {"n": 32}),
        row(metric="zero_shot_ppl/wiki", value=130.0, stderr=2.0, **CO, **likelihood | {"n": 16}),
        row(metric="full_bound", value=4.5, stderr=0.01, **DI | {"latent_steps": None}, **likelihood),
        *text({64: (150.0, 4.0, 4.41)}, model="ar", family="ar", nominal_gmacs_per_sample=10.0),
        *text({1: (1000.0, 30.0, 4.4), 2: (600.0, 20.0, 4.4), 4: (400.0, 10.0, 4.4), 8: (300.0, 5.0, 4.4)}),
        *text(
            {1: (900.0, 40.0, 4.35), 2: (500.0, 20.0, 4.4), 4: (350.0, 10.0, 4.42), 8: (310.0, 5.0, 4.42)},
            0,
            unit=8,
            **CO,
        ),
        *text(
            {1: (450.0, 9.0, 4.2), 2: (380.0, 8.0, 4.2), 4: (330.0, 6.0, 4.2), 8: (305.0, 5.0, 4.2)}, 2, unit=8, **DI
        ),
    ]


@pytest.fixture
def table() -> Callable[[list[dict[str, Any]]], pl.DataFrame]:
    """Rows to a table; the types come from all rows, as many begin with nulls."""
    return lambda rows: pl.DataFrame(rows, infer_schema_length=None)


@pytest.fixture(autouse=True)
def legends_are_within_their_figures(monkeypatch) -> None:
    """Every figure that a test saves: a legend that is wider than it is cut off in the file."""
    save = Figure.savefig

    def checked(figure: Figure, *args: Any, **options: Any) -> None:
        save(figure, *args, **options)
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert box.x0 >= 0, "a legend begins left of its figure"
            assert box.x1 <= figure.bbox.width, "a legend ends right of its figure"
            assert box.y0 >= 0, "a legend ends below its figure"
            assert box.y1 <= figure.bbox.height, "a legend begins above its figure"

    monkeypatch.setattr(Figure, "savefig", checked)
