"""FSDP2 and its checkpoints with one worker: the gradients of the plain model, and the state that was written."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.utils._pytree import tree_leaves

from benchmarks.gpu import paper
from benchmarks.gpu.equality import MOST_GRADIENT, MOST_LOSS, gradient_difference
from benchmarks.gpu.setting import CPU, Part, Setting, Values, expect
from benchmarks.measure import seconds
from benchmarks.speed import build, random_rows
from ladd.diffusion.noise import SampleNoise
from ladd.systems.base import System
from ladd.training.checkpoint import Checkpoint
from ladd.training.optimiser import Optimiser
from ladd.training.replica import shard, whole_state
from ladd.training.sharded import read_shards, write_shards

MODELS = {"MDLM": "lm1b/mdlm", "Di-LADD": "lm1b/di-32"}
SEQUENCES = 16


def parts(setting: Setting) -> Iterator[Part]:
    """Every model."""
    for title, name in MODELS.items():
        yield Part(title, partial(sharded, paper.system(name, small=setting.rehearsal)))


@contextlib.contextmanager
def one_worker() -> Iterator[torch.device]:
    """A process group of this process, and the device on which FSDP2 splits: the GPU, where torch sees one."""
    device = torch.device("cuda") if torch.cuda.is_available() else CPU
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=distributed.HashStore(), rank=0, world_size=1)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


class Loss(nn.Module):
    """What FSDP2 wraps: the forward pass is the loss of a batch."""

    def __init__(self, model: nn.Module, system: System):
        super().__init__()
        self.model, self.system = model, system

    def forward(self, x: Tensor, latents: Tensor | None, noise: SampleNoise) -> Tensor:
        return self.system.losses(self.model, x, latents, noise, 3)["loss"]


def sharded(system: System) -> Values:
    """A step with and without FSDP2, and its state written, read back and compared bit by bit."""
    with one_worker() as device:
        plain = build(system, device)
        split = copy.deepcopy(plain)
        expected = loss_and_gradients(plain, system, device, split=False)
        found = loss_and_gradients(split, system, device, split=True)
        loss = abs(found[0] - expected[0]) / abs(expected[0])
        gradient, _ = gradient_difference(expected[1], found[1])
        optimiser = Optimiser(split, system.settings.training)
        optimiser.step(1)
        values = {"loss": expected[0], "loss differs by": loss, "gradient differs by": gradient}
        values |= stored(split, optimiser, system, device)
    return expect(
        values,
        loss=(f"losses that differ by {MOST_LOSS:g} at most", loss <= MOST_LOSS),
        gradient=(f"gradients that differ by {MOST_GRADIENT:g} at most", gradient <= MOST_GRADIENT),
        state=("the state that was written", values["tensors that differ"] == 0),
    )


def loss_and_gradients(
    model: nn.Module, system: System, device: torch.device, *, split: bool
) -> tuple[float, dict[str, Tensor]]:
    """Loss and whole gradients, on the CPU, of a batch that is the same on every call."""
    torch.manual_seed(1)
    x, latents = random_rows(system, SEQUENCES, CPU)
    wrapped = Loss(model, system)
    if split:
        shard(wrapped)
    torch.manual_seed(2)  # dropout
    noise = SampleNoise(1, torch.arange(SEQUENCES, device=device))
    loss = wrapped(x.to(device), None if latents is None else latents.to(device), noise)
    loss.backward()
    gradients = whole_state({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    return float(loss.detach()), {name: each.cpu().double() for name, each in gradients.items()}


def stored(model: nn.Module, optimiser: Optimiser, system: System, device: torch.device) -> Values:
    """Seconds and bytes of a checkpoint in shards, and how many tensors are others after it was read."""
    other, average = build(system, device), build(system, device)
    for each in (other, average):
        shard(Loss(each, system))
    fresh = Optimiser(other, system.settings.training)
    written = Checkpoint(1, model.state_dict(), model.state_dict(), 1, optimiser.state_dict())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write = seconds(lambda: write_shards(folder, written), device)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        read = Checkpoint(1, {}, {}, 1, [], shards=folder)
        reading = seconds(lambda: read_shards(read, other, average, fresh), device)
    fresh.load_state_dict(read.optimiser)
    pairs = zip(tensors(written, optimiser), tensors(read, fresh), strict=True)
    apart = sum(not torch.equal(first, second) for first, second in pairs)
    return {"GB": size / 1e9, "write, s": write, "read, s": reading, "tensors that differ": apart}


def tensors(checkpoint: Checkpoint, optimiser: Optimiser) -> list[Tensor]:
    """Whole tensors of a model, its average and its optimiser."""
    state = whole_state((checkpoint.model, checkpoint.average, optimiser.state_dict()))
    return [each for each in tree_leaves(state) if isinstance(each, Tensor)]
