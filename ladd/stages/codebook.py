"""codebook@Z: the codes of Di-LADD on the latents of a frozen encoder, its Stage 1."""

from __future__ import annotations

import shutil
from pathlib import Path

from ladd.files import write_json
from ladd.latents.codebook import codebook_report, fit_codebook
from ladd.stages.artifacts import REDUCTION, load_latents, save_latents, save_weights, use_device
from ladd.stages.recorded import record_codebook
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.tracked import stage_run, tag_outputs

BATCH = 4096  # rows that are encoded at a time


def main(stage: Stage) -> None:
    suite, config = stage.suite, stage.suite.codebooks[stage.key]
    device, shape = use_device(suite.compute), suite.latent_shape(stage.key)
    source = Path(f"artifacts/latents/{config.latents}")
    splits = {split: load_latents(source, split, device) for split in ("train", "validation")}
    codebook = fit_codebook(
        splits["train"],
        codebook=config.codebook,
        steps=config.steps,
        batch=config.batch,
        seed=stage.seed,
        scale=shape.scale,
        device=device,
    ).to(device)
    with stage_run(stage) as run:
        with stage.output(f"artifacts/latents/{stage.key}") as folder:
            save_weights(codebook, folder)
            shutil.copy(source / REDUCTION, folder / REDUCTION)
            save_latents(stage.work, folder, splits, lambda z: codebook.nearest(z.float()).int(), "int32", batch=BATCH)
        write_json(Path(f"results/stage1/{stage.key}.json"), codebook_report(codebook, splits["train"]))
        record_codebook(stage.key, config.steps, run)
        tag_outputs(stage.declaration, run)


if __name__ == "__main__":
    run_stage("codebook", main)
