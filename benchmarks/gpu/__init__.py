"""The checks of `benchmarks.gpu_check`, a module each."""
