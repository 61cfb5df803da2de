"""What a training of suites/owt and suites/lm1b costs on 1, 8 and 64 H100s, by arithmetic: tables of docs/SCALING.md.

Operations are counted by the project's own formulas; what hardware gives is assumed below, and is not measured.

    python -m benchmarks.scaling
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ladd.config import Suite, load_suite
from ladd.systems.base import System, backbone_macs

PEAK = 989e12  # bf16 FLOP/s of an H100 SXM, dense: the maker's figure
UTILISATION = 0.40  # share of the peak that a training of this size reaches: assumed, to be measured on a GPU
NVLINK = 300e9  # bytes/s that an all-reduce sees in a node of 8: assumed, two thirds of 450 GB/s
LINK = 40e9  # bytes/s of one network link of 400 Gbit/s between nodes: assumed
STORAGE = 2e9  # bytes/s that one writer sees on shared storage: assumed
OVERLAP = 0.5  # share of a step's computation that an all-reduce can hide behind: the backward pass, less its start
GPU_HOURS_PER_FAILURE = 50_000  # Llama 3 (2024): 419 interruptions in 54 days of 16,384 GPUs
RESTART = 90.0  # seconds from a failure to the first step: assumed; 15 s on one machine here
NODE = 8  # GPUs
CLUSTERS = {"1": (1, 1), "8": (8, 1), "64, 8 links a node": (64, 8), "64, 1 link a node": (64, 1)}  # GPUs, links


@dataclass(frozen=True)
class Load:
    """What one step asks for."""

    flops: float  # of the whole batch
    parameters: int
    row_bytes: int  # of a sequence and its latents
    batch: int
    steps: int
    checkpoint_every: int


def step_macs(system: System) -> float:
    """Multiply-adds of the forward pass of one sequence in training: of the blocks, and of the head where it runs.

    The head of AR runs at all positions, that of masked diffusion at half of them, on average over uniform times; it
    does not run on sequences that are there for the latents alone. Heads of latents are left out.
    """
    network = system.settings.network
    length = system.tokens + (0 if system.shape is None else system.shape.length)
    share = 1.0 if system.left_to_right else (1 - getattr(system.settings, "latents_first", 0.0)) / 2
    head = share * system.tokens * network.width * system.vocabulary
    return backbone_macs(length, network.width, network.layers) + head


def load_of(suite: Suite, key: str) -> Load:
    """Of a model of a suite; a forward and a backward pass cost 6 FLOPs per multiply-add of the forward pass."""
    config = suite.model(key)
    data, training, latent_bytes = suite.data[config.data], config.training, 0
    if config.latents_name is not None:
        shape = suite.latent_shape(config.latents_name)
        latent_bytes = shape.length * (4 if shape.codebook else 2 * shape.width)
    return Load(
        flops=6 * step_macs(System.of(suite, key)) * training.batch,
        parameters=PARAMETERS + 2 * config.network.width * data.vocabulary,
        row_bytes=4 * data.tokens + latent_bytes,
        batch=training.batch,
        steps=training.steps,
        checkpoint_every=training.checkpoint_every,
    )


PARAMETERS = 184_700_000  # without embeddings and heads: tests/test_suites.py counts them


@dataclass(frozen=True)
class Cost:
    """Seconds per step, and hours of the whole run."""

    compute: float
    exposed: float  # all-reduce that computation does not hide
    checkpoint: float
    lost: float  # to failures: repeated steps and restarts
    data: float  # bytes/s that all workers read together
    hours: float

    @property
    def step(self) -> float:
        return self.compute + self.exposed + self.checkpoint + self.lost


def cost_of(load: Load, workers: int, links: int) -> Cost:
    """On so many GPUs, in nodes of 8 with so many links each; the global batch is fixed."""
    compute = load.flops / workers / (PEAK * UTILISATION)
    bandwidth = NVLINK if workers <= NODE else min(NVLINK, links * LINK)
    reduce = 2 * (workers - 1) / workers * 4 * load.parameters / bandwidth
    exposed = max(0.0, reduce - OVERLAP * compute)
    checkpoint = 4 * 4 * load.parameters / STORAGE / load.checkpoint_every  # weights, average, two moments
    step = compute + exposed + checkpoint
    failures_per_second = workers / GPU_HOURS_PER_FAILURE / 3600
    lost = step * failures_per_second * (RESTART + load.checkpoint_every * step / 2)
    return Cost(
        compute, exposed, checkpoint, lost, load.row_bytes * load.batch / step, (step + lost) * load.steps / 3600
    )


def main() -> None:
    """Print the tables as Markdown."""
    columns = ["model", "PFLOP", "GPUs", "compute", "all-reduce", "checkpoint", "failures", "MB/s read", "hours"]
    columns += ["H100-hours", "efficiency"]
    for name, keys in (("lm1b", ("mdlm", "co-128", "di-32")), ("owt", ("mdlm", "co-64", "di-16"))):
        suite = load_suite(Path(f"suites/{name}/params.yaml"))
        print(f"\n{name}, milliseconds per step:\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for key in keys:
            load = load_of(suite, key)
            alone = cost_of(load, 1, 1).step
            for title, (workers, links) in CLUSTERS.items():
                cost = cost_of(load, workers, links)
                milliseconds = [1e3 * value for value in (cost.compute, cost.exposed, cost.checkpoint, cost.lost)]
                cells = [key, f"{load.flops / 1e15:.2f}", title, *(f"{value:.2f}" for value in milliseconds)]
                cells += [f"{cost.data / 1e6:.0f}", f"{cost.hours:.1f}", f"{cost.hours * workers:.0f}"]
                print(f"| {' | '.join(cells)} | {alone / workers / cost.step:.0%} |")


if __name__ == "__main__":
    main()
