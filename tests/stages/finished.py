"""A suite whose stages have run, to look at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import torch

from ladd.config import load_suite
from ladd.stages.declaration import read_declaration
from ladd.stages.planned import stages_in_order


class Finished:
    """A suite whose stages have all run once."""

    def __init__(self, repository: Path, folder: Path):
        self.repository, self.folder, self.suite = repository, folder, load_suite(folder / "params.yaml")

    @property
    def compare(self) -> pl.DataFrame:
        return pl.read_csv(self.folder / "results/compare.csv", infer_schema_length=None)

    def check_outputs(self) -> None:
        """Its stages, in the working directory, have written what they declare and nothing else."""
        stages = stages_in_order(vars(self.suite))
        declared = {path for stage in stages for path in read_declaration(*stage).outputs}
        written = [path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file()]
        written = [path for path in written if path.parts[0] in ("artifacts", "results")]
        assert {path for path in declared if not path.exists()} == set()
        # How long sampling took is in files of its own, which no stage depends on.
        written = [path for path in written if path.parts[:2] != ("results", "seconds")]
        assert {path for path in written if not declared & {path, *path.parents}} == set()

    def results(self, name: str) -> dict:
        return json.loads((self.folder / "results" / name).read_text())

    def samples(self, key: str, point: str, seed: int) -> torch.Tensor:
        return torch.from_numpy(
            np.load(self.folder / f"artifacts/samples/{key}/{point}-seed-{seed}.npy").astype("int64")
        )
