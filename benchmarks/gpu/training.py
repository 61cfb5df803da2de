"""Training steps of the paper's models in bf16: time, share of the peak, memory; and other ways beside them.

Floating-point operations are those of `benchmarks.scaling.step_macs`: 6 for each multiply-add of a forward pass, 2
forward and 4 backward. The same number is taken for the dense losses, whose needless work then lowers the share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.utils import counters

from benchmarks import dense
from benchmarks.gpu import paper
from benchmarks.gpu.setting import Part, Setting, Values, expect
from benchmarks.measure import peak_bytes, peak_flops, seconds
from benchmarks.scaling import step_macs
from benchmarks.speed import build, make_trainer, step_by
from ladd.config import MuonConfig, TrainingConfig
from ladd.systems.base import System
from ladd.training.loop import Trainer

RULE = (
    "6 FLOPs per multiply-add of a forward pass. Multiply-adds of a sequence: layers (12 S d^2 + 2 S^2 d) for its S "
    "positions, tokens and latents, and d V for each position that the token head runs on: all N of AR, half of N of "
    "masked diffusion, and of Di-LADD half of the 70 % of sequences that train tokens. Embeddings, conditioning, "
    "norms, latent heads, dropout, optimiser and weight average are left out. MFU is over the maker's dense bf16 peak."
)
# Tokens of a forward pass, whose gradients add up to the batch of the paper; a dense loss of as many takes 50 GB.
PASS, SMALL_PASS, LARGE_MEMORY = 16_384, 8_192, 100e9
MOST_STEPS, MOST_SECONDS = 5, 5.0  # timed, after two that are not


@dataclass(frozen=True)
class Row:
    """A training to time.

    Attributes:
        model: of `paper.MODELS`.
        title: what is other than in the suite.
        loss: of benchmarks/dense.py in the place of ours.
        muon: Muon for the matrices of the blocks.
        compiled: blocks, as in the suites.
    """

    model: str
    title: str = ""
    loss: Callable[..., Tensor] | None = None
    muon: bool = False
    compiled: bool = True

    @property
    def name(self) -> str:
        return self.model + (f", {self.title}" if self.title else "")


PAPER = [Row(f"lm1b/{key}") for key in ("mdlm", "di-32", "co-128", "ar")] + [
    Row(f"owt/{key}") for key in ("mdlm", "di-16", "co-64")
]
OTHER = [
    Row("lm1b/mdlm", "Muon", muon=True),
    Row("lm1b/mdlm", "dense loss", dense.masked_cross_entropy),
    Row("lm1b/mdlm", "fused dense loss", dense.fused_cross_entropy),
    Row("lm1b/mdlm", "not compiled", compiled=False),
]
ROWS = [*PAPER, *OTHER, *(replace(row, model="owt/mdlm") for row in OTHER)]


def parts(setting: Setting) -> Iterator[Part]:
    """Every row."""
    for row in ROWS:
        yield Part(row.name, partial(measured, row, setting))


def measured(row: Row, setting: Setting) -> Values:
    """Steps of one training."""
    system = paper.system(row.model, small=setting.rehearsal)
    torch.compiler.reset()
    counters.clear()
    if setting.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    config = configure(system, row, setting)
    with setting.compiler():
        trainer = make_trainer(system, build(system, setting.device), config, setting.device)
        step = trainer.train_step if row.loss is None else partial(step_by, trainer, system, row.loss)
        first = seconds(step, setting.device)
        second = seconds(step, setting.device)
        graphs = counters["stats"]["unique_graphs"]
        times = timed(step, setting, second)
        later = counters["stats"]["unique_graphs"] - graphs
        in_all = torch.cuda.max_memory_allocated() / 1e9 if setting.device.type == "cuda" else None
        beyond = peak_bytes(step, setting.device) / 1e9
    loss = float(trainer.own[-1]["loss"])
    values = figures(system, trainer, median(times), setting)
    values |= {"step, GB": beyond, "in all, GB": in_all, "timed steps": len(times), "first step, s": first}
    values |= {"graphs": graphs, "loss": loss}
    torch.compiler.reset()
    return expect(
        values,
        finite=("a finite loss", abs(loss) < float("inf")),
        compiled=("compiled blocks", graphs > 0 or not row.compiled),
        whole=("no graph break", not counters["graph_break"]),
        once=("no compilation after the first steps", later == 0),
    )


def configure(system: System, row: Row, setting: Setting) -> TrainingConfig:
    """The training of the suite, a few sequences at a time."""
    config: TrainingConfig = system.settings.training
    large = setting.device.type == "cpu" or torch.cuda.get_device_properties(0).total_memory > LARGE_MEMORY
    micro_batch = min(config.batch // 2, max(1, (PASS if large else SMALL_PASS) // system.tokens))
    executor = config.executor.model_copy(update={"micro_batch": micro_batch, "compile": row.compiled})
    changes: dict[str, Any] = {"executor": executor}
    if row.muon:
        changes["optimiser"] = MuonConfig(kind="muon")
    return config.model_copy(update=changes)


def timed(step: Callable[[], object], setting: Setting, second: float) -> list[float]:
    """Seconds of several steps, fewer where they are slow."""
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < (2 if setting.rehearsal else MOST_STEPS):
        times.append(seconds(step, setting.device))
        if len(times) >= 2 and time.perf_counter() - start + second > MOST_SECONDS:
            break
    return times


def figures(system: System, trainer: Trainer, step: float, setting: Setting) -> Values:
    """What follows from the seconds of a step."""
    batch = trainer.config.batch
    flops = 6 * batch * step_macs(system)
    peak = peak_flops(torch.cuda.get_device_name()) if setting.device.type == "cuda" else None
    parameters = sum(p.numel() for p in trainer.task.model.parameters())
    return {
        "million parameters": parameters / 1e6,
        "batch": batch,
        "sequences per pass": trainer.config.executor.micro_batch,
        "ms per step": 1e3 * step,
        "tokens per second": batch * system.tokens / step,
        "TFLOP per step": flops / 1e12,
        "TFLOP/s": flops / step / 1e12,
        "MFU, %": None if peak is None else 100 * flops / step / peak,
    }
