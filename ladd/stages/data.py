"""data@D: draw the training, validation and reference sequences."""

from __future__ import annotations

import numpy as np

from ladd.data.sawtooth import draw_sequences
from ladd.stages.runtime import Stage, run_stage


def main(stage: Stage) -> None:
    config = stage.suite.data[stage.key]
    with stage.output(f"artifacts/data/{stage.key}") as folder:
        for split in ("train", "validation", "reference"):
            tokens = draw_sequences(
                getattr(config, split),
                stage.suite.seed,
                split,
                tokens=config.tokens,
                periods=config.periods,
                floor=config.floor,
            )
            np.save(folder / f"{split}.npy", tokens)


if __name__ == "__main__":
    run_stage("data", main)
