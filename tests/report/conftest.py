"""A small hand-made compare table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

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
    "nfe": None,
    "gmacs_per_sample": None,
    "metric": "swd",
    "value": 0.1,
    "stderr": 0.01,
    "n": 100,
    "precision": "float64",
    "evaluator_version": "1",
    "seed": None,
}


def row(**values: Any) -> dict[str, Any]:
    """One row of the table: the defaults above with ``values`` in their place."""
    assert values.keys() <= ROW.keys()
    return ROW | values


def swd(values: list[float], steps: int | None, **others: Any) -> list[dict[str, Any]]:
    """One row per sampling seed."""
    cost = {"nfe": steps, "gmacs_per_sample": None if steps is None else 0.5 * steps}
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


@pytest.fixture
def table() -> Callable[[list[dict[str, Any]]], pl.DataFrame]:
    """Rows to a table; the types come from all rows, as many begin with nulls."""
    return lambda rows: pl.DataFrame(rows, infer_schema_length=None)
