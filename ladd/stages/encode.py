"""encode@E: latents of all blocks by a frozen pretrained encoder, in one pass for all views."""

from __future__ import annotations

import os
import shutil

from ladd.stages.artifacts import REDUCTION, load_tokens, use_device
from ladd.stages.encoders import load_encoder
from ladd.stages.runtime import Stage, run_stage
from ladd.text.precompute import encode_blocks, fit_reductions


def main(stage: Stage) -> None:
    suite, config = stage.suite, stage.suite.encoders[stage.key]
    device = use_device(suite.compute)
    encoder = load_encoder(suite, config.data, config, device)
    splits = {split: load_tokens(config.data, split, device) for split in ("train", "validation")}
    reductions = fit_reductions(encoder, splits["train"], config.views, fit=config.fit)
    for split, rows in splits.items():  # finished shards are kept in the work folder, so a killed pass goes on
        encode_blocks(encoder, rows, stage.work / split, config.views, reductions, shard=config.shard)
    with stage.output(f"artifacts/latents/{stage.key}") as folder:
        for name in config.views:
            for split in splits:
                # Links: at full size the latents are hundreds of gigabytes, and a kill here must not lose them.
                shutil.copytree(stage.work / split / name, folder / name / split, copy_function=os.link)
            reductions[name].save(folder / name / REDUCTION)


if __name__ == "__main__":
    run_stage("encode", main)
