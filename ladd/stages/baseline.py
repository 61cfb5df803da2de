"""baseline@M: train a model without latents."""

from ladd.stages.models import main, training  # noqa: F401  # workers look for `training` here
from ladd.stages.runtime import run_stage

if __name__ == "__main__":
    run_stage("baseline", main)
