"""stage2@M: train a model on frozen latents, from the Stage 1 weights where there are some."""

from __future__ import annotations

from ladd.stages.models import training
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import train_stage


def main(stage: Stage) -> None:
    train_stage(stage, training)


if __name__ == "__main__":
    run_stage("stage2", main)
