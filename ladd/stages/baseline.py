"""baseline@M: train a model without latents (MDLM, AR)."""

from __future__ import annotations

from ladd.config import BaselineConfig
from ladd.models import build_baseline
from ladd.networks import CausalTransformer, DiT
from ladd.stages.artifacts import load_tokens, save_weights, use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, seed_weights, train_stage
from ladd.training.batches import RowSource
from ladd.training.tasks import ArTask, MdlmTask


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Model, data and loss."""
    suite, config = stage.suite, stage.suite.baselines[stage.key]
    device, vocabulary = use_device(suite.compute), suite.data[config.data].vocabulary
    train, validation = (load_tokens(config.data, split, device) for split in ("train", "validation"))
    seed_weights(stage)
    model = build_baseline(vocabulary, config).to(device)
    task = task_of(config, model, train, validation, vocabulary)
    return Training(task, config.training, f"artifacts/models/{stage.key}", save_weights)


def task_of(
    config: BaselineConfig, model: DiT | CausalTransformer, train: RowSource, validation: RowSource, vocabulary: int
) -> ArTask | MdlmTask:
    """What trains a baseline."""
    if isinstance(model, CausalTransformer):
        return ArTask(model, train, validation, vocabulary)
    assert config.token_channel is not None
    return MdlmTask(model, train, validation, vocabulary, config.token_channel)


if __name__ == "__main__":
    run_stage("baseline", main)
