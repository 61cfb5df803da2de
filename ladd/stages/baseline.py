"""baseline@M: train a model without latents."""

from __future__ import annotations

from ladd.stages.models import build_training
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, train_stage


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Model, data and loss."""
    return build_training(stage)


if __name__ == "__main__":
    run_stage("baseline", main)
