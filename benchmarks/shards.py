"""Memory of a worker while a checkpoint is written, whole and in shards: python -m benchmarks.shards.

One, two and four processes (gloo, on this machine) hold a model with its average and its moments in shards (FSDP2) and
write a checkpoint: as it was written before, put together on every worker and written by the first, and each worker its
own shards. Printed is a table of the worst worker: the bytes of its state, and the peak of its memory while it writes
(`VmHWM`, reset before) above what it had before it made the state.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import multiprocessing, nn
from torch.utils._pytree import tree_leaves

from ladd.distributed import local, rank
from ladd.training.checkpoint import Checkpoint, save_checkpoint
from ladd.training.replica import whole_state
from ladd.training.sharded import write_shards

WIDTH = 1024
MEBI = 2**20


def status(name: str) -> float:
    """A size of this process by its name in /proc, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def stack(layers: int) -> nn.Module:
    """Layers in shards, where there are several workers."""
    from torch.distributed.fsdp import fully_shard

    model = nn.Sequential(*[nn.Linear(WIDTH, WIDTH) for _ in range(layers)])
    if torch.distributed.get_world_size() > 1:
        for layer in model:
            fully_shard(layer)
        fully_shard(model)
    return model


def trained(layers: int) -> Checkpoint:
    """State after one step: weights, their average, and both moments of AdamW."""
    model, average = stack(layers), stack(layers)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.randn(2, WIDTH)).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return Checkpoint(1, model.state_dict(), average.state_dict(), 1, [optimiser.state_dict()])


def measure(worker: int, workers: int, layers: int, folder: str, results: Any) -> None:
    """In a process of its own."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/{workers}", rank=worker, world_size=workers
    )
    write_shards(Path(folder) / f"warm-{workers}", trained(1))  # imports and first messages
    before = settled()
    checkpoint = trained(layers)
    tensors = tree_leaves((checkpoint.model, checkpoint.average, checkpoint.optimiser))
    found = {"state": sum(local(each).nbytes for each in tensors if isinstance(each, torch.Tensor)) / MEBI}
    for name in ("shards", "whole"):
        settled()
        torch.distributed.barrier()
        reset_peak()
        if name == "shards":
            write_shards(Path(folder) / f"shards-{workers}", checkpoint)
        else:
            write_whole(Path(folder) / f"whole-{workers}", checkpoint)
        found[name] = status("VmHWM") - before
    results.put(found)
    torch.distributed.destroy_process_group()


def settled() -> float:
    """Memory of this process, MiB, when what is not used has gone back to the system."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return status("VmRSS")


def write_whole(folder: Path, checkpoint: Checkpoint) -> None:
    """Put the state together on every worker, and write it on the first."""
    model, average, optimiser = whole_state((checkpoint.model, checkpoint.average, checkpoint.optimiser))
    if rank() == 0:
        save_checkpoint(folder, Checkpoint(1, model, average, 1, optimiser))
    torch.distributed.barrier()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=24, help=f"each has {WIDTH}^2 weights (default 24)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    total = options.layers * (WIDTH**2 + WIDTH) * 16 / MEBI
    print(f"{total:.0f} MiB of weights, averages and moments in all; MiB of the worst worker:\n")
    print("| workers | state | peak, written in shards | peak, written whole |")
    print("|---|---|---|---|")
    for workers in options.workers:
        results: Any = context.SimpleQueue()
        with tempfile.TemporaryDirectory() as folder:
            arguments = (workers, options.layers, folder, results)
            processes = multiprocessing.start_processes(measure, arguments, workers, join=False, start_method="spawn")
            found = [results.get() for _ in range(workers)]
            while not processes.join():
                pass
        worst = [max(each[name] for each in found) for name in ("state", "shards", "whole")]
        print(f"| {workers} | {' | '.join(f'{value:.0f}' for value in worst)} |", flush=True)


if __name__ == "__main__":
    main()
