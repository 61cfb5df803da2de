"""From tracked runs back to the pipeline: fill the store from DVC, compare sweeps, get a run again."""
