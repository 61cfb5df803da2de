"""stage2@M: train a model on frozen latents, from the Stage 1 weights where there are some."""

from ladd.stages.models import main, training  # noqa: F401  # workers look for `training` here
from ladd.stages.runtime import run_stage

if __name__ == "__main__":
    run_stage("stage2", main)
