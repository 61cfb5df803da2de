"""encode@E: latents of all blocks by a frozen pretrained encoder, in one pass for all views."""

from __future__ import annotations

import os
import shutil

import torch

from ladd.cluster import share_out, workers_asked
from ladd.data.shards import Rows
from ladd.files import write_json
from ladd.latents.frozen import FrozenTextEncoder
from ladd.latents.precompute import encode_blocks, fit_reductions
from ladd.latents.reduction import Reduction
from ladd.latents.statistics import latent_statistics
from ladd.stages.artifacts import REDUCTION, load_latents, use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.tasks import task_of

DESCRIBED = 4096  # blocks that the statistics of a view are taken from, the first of the training data


def main(stage: Stage) -> None:
    config = stage.suite.encoders[stage.key]
    encoder, splits = _inputs(stage)
    reductions = fit_reductions(encoder, splits["train"], config.views, fit=config.fit)
    if workers := workers_asked(stage.suite.compute):
        share_out(_encode_on_worker, (stage, reductions), workers)
    _encode(stage, encoder, splits, reductions)  # what is not there yet
    with stage.output(f"artifacts/latents/{stage.key}") as folder:
        for name in config.views:
            for split in splits:
                # Links: at full size the latents are hundreds of gigabytes, and a kill here must not lose them.
                # The beginning of a shard, which a kill may leave under a hidden name, is no part of them.
                shutil.copytree(
                    stage.work / split / name,
                    folder / name / split,
                    ignore=shutil.ignore_patterns(".*"),
                    copy_function=os.link,
                )
            reductions[name].save(folder / name / REDUCTION)
            sample = load_latents(folder / name, "train", torch.device("cpu"))[:DESCRIBED]
            write_json(folder / name / "statistics.json", latent_statistics(sample, None))


def _inputs(stage: Stage) -> tuple[FrozenTextEncoder, dict[str, Rows]]:
    """The encoder, and the blocks of both splits."""
    suite, config = stage.suite, stage.suite.encoders[stage.key]
    task = task_of(suite, config.data, use_device(suite.compute))
    return task.encoder(config), {split: task.rows(split) for split in ("train", "validation")}


def _encode_on_worker(stage: Stage, reductions: dict[str, Reduction], worker: int, workers: int) -> None:
    _encode(stage, *_inputs(stage), reductions, worker, workers)


def _encode(
    stage: Stage,
    encoder: FrozenTextEncoder,
    splits: dict[str, Rows],
    reductions: dict[str, Reduction],
    worker: int = 0,
    workers: int = 1,
) -> None:
    """Write this worker's shards into the work folder, where a killed pass goes on."""
    config = stage.suite.encoders[stage.key]
    for split, rows in splits.items():
        encode_blocks(
            encoder,
            rows,
            stage.work / split,
            config.views,
            reductions,
            shard=stage.suite.run.latent_shard,
            worker=worker,
            workers=workers,
        )


if __name__ == "__main__":
    run_stage("encode", main)
