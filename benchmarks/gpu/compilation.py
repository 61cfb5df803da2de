"""Compiled blocks: no graph break, no compilation after the first steps, and the gradients of the plain ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from benchmarks.gpu import paper
from benchmarks.gpu.equality import FAMILIES, SEQUENCES, gradient_difference
from benchmarks.gpu.setting import Part, Setting, Values, expect
from benchmarks.measure import seconds
from benchmarks.speed import build, random_rows
from ladd.config import ExecutorConfig
from ladd.diffusion.noise import SampleNoise
from ladd.systems.base import System
from ladd.training.replica import Replica

MOST = 1e-4  # relative difference of all gradients as one vector, in float32


def parts(setting: Setting) -> Iterator[Part]:
    """Every family."""
    for family, name in FAMILIES.items():
        yield Part(family, partial(compiled, name, setting))


def compiled(name: str, setting: Setting) -> Values:
    """Graphs, breaks, and gradients in float32; a break in a block is an error of torch, as in a training."""
    system, device = paper.system(name, small=True), setting.device
    plain = build(system, device)
    model = copy.deepcopy(plain)
    torch.compiler.reset()
    counters.clear()
    with setting.compiler():
        replica = computation(system, model, compile_blocks=True)
        first = seconds(partial(gradients, system, model, replica, 0), device)
        gradients(system, model, replica, 1)  # other positions are masked
        graphs = counters["stats"]["unique_graphs"]
        found = gradients(system, model, replica, 2)
        gradients(system, model, replica, 3)
    later = counters["stats"]["unique_graphs"] - graphs
    breaks = sum(counters["graph_break"].values())
    apart, _ = gradient_difference(gradients(system, plain, computation(system, plain), 2), found)
    torch.compiler.reset()
    values: Values = {"graphs": graphs, "graph breaks": breaks, "graphs of later steps": later}
    values |= {"gradient differs by": apart, "first step, s": first}
    return expect(
        values,
        compiled=("a graph", graphs > 0),
        whole=("no graph break", breaks == 0),
        once=("no compilation after the first steps", later == 0),
        same=(f"gradients that differ by {MOST:g} at most", apart <= MOST),
    )


def computation(system: System, model: nn.Module, *, compile_blocks: bool = False) -> Replica:
    """The losses of a model, computed as a training computes them."""
    executor = ExecutorConfig(compile=compile_blocks)
    return Replica(model, lambda *given: system.losses(model, *given)["loss"], executor)


def gradients(system: System, model: nn.Module, replica: Replica, step: int) -> dict[str, Tensor]:
    """Those of a step, on the CPU."""
    device = next(model.parameters()).device
    torch.manual_seed(1)
    x, latents = random_rows(system, SEQUENCES, device)
    model.zero_grad()
    noise = SampleNoise(1, torch.arange(SEQUENCES, device=device))
    replica(x, latents, noise, step).backward()
    return {name: p.grad.double().cpu() for name, p in model.named_parameters() if p.grad is not None}
