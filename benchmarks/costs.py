"""How costs grow with N, L, V, batch and corpus, drawn to docs/images/costs.png.

    python -m benchmarks.costs

A small joint Co-LADD (d 128, 4 layers) on a CPU: one size grows, the others stay at N 64, L 8, V 4,096, batch 16.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from benchmarks.measure import in_turns
from ladd.data.shards import Rows, write_array_shards
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import draw_channel_times
from ladd.networks import MMDiT
from ladd.report.style import BLUE, GREY, ORANGE, VERMILLION, figure_to
from ladd.samplers import base as samplers
from ladd.samplers.joint import Joint
from ladd.samplers.sources import PairSource, Stream, share_equal_rows
from ladd.systems.channels import Latents, Vectors, pair_losses, stack_losses

BASE = {"N": 64, "L": 8, "V": 4096, "batch": 16}
GRID = {
    "N": [32, 64, 128, 256, 512],
    "L": [1, 4, 16, 64, 128],
    "V": [256, 1024, 4096, 16384, 65536],
    "batch": [2, 4, 8, 16, 32, 64],
}
TITLES = {"N": "tokens N", "L": "latents L", "V": "vocabulary V", "batch": "batch"}
CORPORA = [2**k for k in range(14, 23, 2)]  # blocks
NETWORK: dict[str, Any] = {"width": 128, "layers": 4, "heads": 4, "condition": 64, "dropout": 0.0}
WIDTH, STEPS, REPEATS, READS = 32, 8, 5, 2000
CPU = torch.device("cpu")


def costs(sizes: dict[str, int]) -> dict[str, float]:
    """Milliseconds of the losses' forward and backward pass, and of a sampling step."""
    tokens, length, vocabulary, batch = (sizes[key] for key in ("N", "L", "V", "batch"))
    torch.manual_seed(0)
    denoiser = MMDiT(vocabulary, latent_width=WIDTH, latent_outputs=WIDTH, **NETWORK)
    x, noise = torch.randint(vocabulary, (batch, tokens)), SampleNoise(0, torch.arange(batch))
    latents = Latents(torch.randn(batch, length, WIDTH))
    start = torch.full_like(x, vocabulary)
    process, channel = MaskedProcess(DISCRETE_SCHEDULES["linear"], vocabulary), Vectors("sqrt")

    def predict(*inputs: torch.Tensor) -> tuple[Prediction, Prediction]:
        hidden, latent_hidden = network(*inputs)
        return Prediction(hidden, denoiser.token_head), Prediction(latent_hidden, denoiser.latent_head)

    network = share_equal_rows(denoiser)

    def step() -> None:
        times = draw_channel_times(noise, 0, "shared")
        losses = pair_losses(denoiser, x, latents, times, noise, 0, process, channel)
        stack_losses(losses).mean().backward()

    def sample() -> None:
        streams = Stream(process, "token", (tokens,)), Stream(channel.process, "latent", (length, WIDTH))
        samplers.sample(Joint(source=PairSource(*streams, predict), token_steps=STEPS), start, noise)

    trained, sampled = (in_turns(CPU, REPEATS, call)[0] for call in (step, sample))
    return {"training step": 1e3 * trained, "sampling step": 1e3 * sampled / STEPS}


def reading(blocks: int, folder: Path) -> tuple[float, float]:
    """Microseconds to read a batch of random blocks, and the growth of this process's own memory in MB."""
    rng = np.random.default_rng(0)
    parts = (rng.integers(0, 4096, (65536, BASE["N"]), dtype=np.uint16)[:blocks] for _ in range(-(-blocks // 65536)))
    write_array_shards(folder, parts, shape=(BASE["N"],), dtype="uint16", shard=65536)
    before = _own_memory()
    rows = Rows.open(folder, CPU)
    start = time.perf_counter()
    for _ in range(READS):
        rows[rng.integers(0, blocks, BASE["batch"])]
    return 1e6 * (time.perf_counter() - start) / READS, _own_memory() - before


def _own_memory() -> float:
    """Anonymous memory in MB; mapped files belong to the page cache, which gives them up when asked to."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("RssAnon"))


def draw(path: Path) -> None:
    """Measure, print and draw."""
    with figure_to(path, 12.5, 5.6) as figure:
        panels = figure.subplots(2, 3).flat
        for (name, values), axes in zip(GRID.items(), panels, strict=False):
            rows = [costs(BASE | {name: value}) for value in values]
            for key, colour in (("training step", BLUE), ("sampling step", ORANGE)):
                axes.loglog(values, [row[key] for row in rows], "o-", color=colour, label=key)
            print(name, values, [{k: round(v, 2) for k, v in row.items()} for row in rows], flush=True)
            _proportional(axes, values, [row["training step"] for row in rows])
            axes.set(xlabel=TITLES[name], ylabel="milliseconds", xticks=values, xticklabels=values)
            axes.minorticks_off()
        with tempfile.TemporaryDirectory() as folder:
            read = [reading(blocks, Path(folder) / str(blocks)) for blocks in CORPORA]
        print("corpus", CORPORA, [tuple(round(value, 2) for value in row) for row in read], flush=True)
        megabytes = [blocks * BASE["N"] * 2 / 1e6 for blocks in CORPORA]
        for axes, column, label in zip(
            list(figure.axes)[4:], range(2), ("microseconds to read a batch", "memory of reading, MB"), strict=True
        ):
            axes.semilogx(megabytes, [row[column] for row in read], "o-", color=VERMILLION)
            axes.set(xlabel="corpus on disk, MB", ylabel=label, ylim=(0, None if column == 0 else 10))
        figure.axes[0].legend()


def _proportional(axes: Axes, values: list[int], times: list[float]) -> None:
    """A line through the last point along which cost is proportional to size."""
    axes.loglog(values, [times[-1] * value / values[-1] for value in values], ":", color=GREY, label="proportional")
    axes.set_ylim(bottom=min(times) / 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    draw(Path(__file__).resolve().parents[1] / "docs/images/costs.png")


if __name__ == "__main__":
    main()
