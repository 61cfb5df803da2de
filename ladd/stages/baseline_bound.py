"""baseline_bound@M: as `bound`, of a model without latents."""

from ladd.stages.bound import main
from ladd.stages.runtime import run_stage

if __name__ == "__main__":
    run_stage("baseline_bound", main)
