"""A suite whose stages have run, to look at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import torch

from ladd.config import load_suite


class Finished:
    """A suite whose stages have all run once."""

    def __init__(self, repository: Path, folder: Path):
        self.repository, self.folder, self.suite = repository, folder, load_suite(folder / "params.yaml")

    @property
    def compare(self) -> pl.DataFrame:
        return pl.read_csv(self.folder / "results/compare.csv", infer_schema_length=None)

    def results(self, name: str) -> dict:
        return json.loads((self.folder / "results" / name).read_text())

    def samples(self, key: str, point: str, seed: int) -> torch.Tensor:
        return torch.from_numpy(
            np.load(self.folder / f"artifacts/samples/{key}/{point}-seed-{seed}.npy").astype("int64")
        )
