"""Training step, memory and sampling of one sweep's model, as ratios to the dense way (benchmarks/dense.py).

    python -m benchmarks.speed suites/lm1b co-32-joint --batch 2 --memory-batch 8

Random tokens, latents and weights. Both sides of a ratio are measured in turns in one process. A dense sampling step
costs the same in every step, so that more than --dense-steps of them are not made: their time is scaled up, which the
output says. A training step is compared with three others: one as public implementations write it (dense losses,
PyTorch's AdamW with its defaults, an average that goes from parameter to parameter), and ours with dense losses alone.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks import dense
from benchmarks.measure import in_turns, peak_bytes, peak_flops, ratio_error, seconds
from benchmarks.scaling import step_macs
from ladd.config import SweepConfig, TrainingConfig, load_suite
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import TimeDraw
from ladd.samplers.base import sample
from ladd.systems.base import System
from ladd.training.batches import TokenTask
from ladd.training.checkpoint import Checkpoint
from ladd.training.executor import InlineContext
from ladd.training.loop import Trainer


class Nowhere:
    """An executor context that keeps nothing."""

    def latest(self) -> Checkpoint | None:
        return None

    def save(self, checkpoint: Checkpoint, kept: Collection[int]) -> None: ...

    def report(self, row: dict[str, float]) -> None: ...

    def stopping(self, step: int) -> bool:
        return False


def build(system: System, device: torch.device) -> nn.Module:
    """The untrained model of a system, all of whose blocks do something."""
    torch.manual_seed(0)
    with device:
        model = system.build()
    if (codebook := getattr(model, "codebook", None)) is not None:
        codebook.vectors.normal_()
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return model


def random_rows(system: System, rows: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Tokens (rows, N), and latents (rows, L) or (rows, L, w) where the system has some."""
    x = torch.randint(system.vocabulary, (rows, system.tokens), device=device)
    if (shape := system.shape) is None:
        return x, None
    if shape.codebook:
        return x, torch.randint(shape.codebook, (rows, shape.length), device=device)
    return x, torch.randn(rows, shape.length, shape.width, device=device)


def make_trainer(system: System, model: nn.Module, config: TrainingConfig, device: torch.device) -> Trainer:
    """A training run on random rows."""
    x, latents = random_rows(system, 16 * config.batch, device)
    task = TokenTask(model, system.losses, x, x, system.vocabulary, latents, latents)
    return Trainer(task, TrainingConfig.model_validate(config.model_dump()), cast("InlineContext", Nowhere()), seed=0)


def step_by(trainer: Trainer, system: System, loss: Callable[..., Tensor]) -> None:
    """A training step with a loss of benchmarks/dense.py."""
    with mock.patch.object(trainer.task, "compute", dense.make_dense(system, loss).losses):
        trainer.train_step()


class PlainAdamW:
    """PyTorch's AdamW with its defaults, in the place of a trainer's optimiser."""

    def __init__(self, trainer: Trainer):
        self.parameters = trainer.optimiser.parameters
        self.adamw = torch.optim.AdamW(self.parameters, weight_decay=trainer.config.weight_decay)

    def step(self, step: int) -> None:
        self.adamw.step()

    def zero_grad(self) -> None:
        self.adamw.zero_grad()


def training(system: System, model: nn.Module, batch: int, device: torch.device, repeats: int) -> None:
    """Seconds of a whole training step, ours and dense: forward, backward, clipping, optimiser, average.

    The number of masked positions varies from step to step, so all sides take the same steps, and means are compared.
    """
    config = system.settings.training.model_copy(update={"batch": batch})
    if device.type == "cpu":  # as in the suites that a CPU runs
        executor = config.executor.model_copy(update={"precision": "float32", "compile": False})
        config = config.model_copy(update={"executor": executor})
    trainer = make_trainer(system, model, config, device)
    plain = PlainAdamW(trainer)

    def straightforward() -> None:
        update = partial(dense.update_average, trainer.average)
        with mock.patch.object(trainer, "optimiser", plain), mock.patch.object(trainer.average, "update", update):
            step_by(trainer, system, dense.masked_cross_entropy)

    sides: list[Callable[[], object]] = [
        trainer.train_step,
        straightforward,
        partial(step_by, trainer, system, dense.masked_cross_entropy),
        partial(step_by, trainer, system, dense.fused_cross_entropy),
    ]
    times: list[list[float]] = []
    for step in range(1 + repeats):
        times.append([])
        for side in sides:
            trainer.step = step
            times[-1].append(seconds(side, device))
    columns = list(zip(*times[1:], strict=True))  # the first step is not counted
    ours = statistics.fmean(columns[0])
    names = [f"training step, batch {batch}", "  dense losses alone", "  a fused dense loss alone"]
    for name, column in zip(names, columns[1:], strict=True):
        show(name, ours, statistics.fmean(column), f" +- {ratio_error(column, columns[0]):.2f}")
    if device.type == "cuda":
        flops = 6 * batch * step_macs(system)
        name = torch.cuda.get_device_name()
        peak = peak_flops(name)
        tokens = batch * system.tokens / ours
        share = f"{flops / ours / peak:.1%} of the peak of {name}" if peak else f"no peak is known of {name}"
        print(f"  {tokens:,.0f} tokens/s, {flops / ours / 1e12:.1f} TFLOP/s, {share}")


def loss_memory(
    vocabulary: int, tokens: int, head: nn.Linear, batch: int, device: torch.device
) -> tuple[float, float, float]:
    """Peak bytes of head and loss, forward and backward, beyond hidden states, weights and their gradients.

    Returns:
        Ours, dense, and one fused cross-entropy.
    """
    hidden = torch.randn(batch, tokens, head.in_features, device=device)
    x = torch.randint(vocabulary, (batch, tokens), device=device)
    noise, weight = SampleNoise(0, torch.arange(batch, device=device)), torch.ones(batch, device=device)
    times = (torch.arange(batch, device=device) + 0.5) / batch
    process = MaskedProcess(DISCRETE_SCHEDULES["linear"], vocabulary)
    mask = process.draw_mask(times, StreamNoise(noise, "token"), tokens)

    def peak(loss: Callable[..., Tensor]) -> float:
        head.zero_grad(set_to_none=True)
        states = hidden.clone().requires_grad_()
        used = peak_bytes(lambda: loss(states, head, x, mask, weight).sum().backward(), device)
        return used - sum(p.grad.nbytes for p in (states, *head.parameters()) if p.grad is not None)

    def lean(states: Tensor, head: nn.Module, x: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        return process.loss(Prediction(states, head), x, Noised(x, mask), TimeDraw(times, weight), "constant")

    found = peak(lean), peak(dense.masked_cross_entropy), peak(dense.fused_cross_entropy)
    head.zero_grad(set_to_none=True)
    return found


def memory(system: System, model: nn.Module, batch: int, device: torch.device) -> None:
    """Peak memory of head and loss, ours and dense."""
    head: Any = getattr(model, "denoiser", model).token_head
    ours, *others = loss_memory(system.vocabulary, system.tokens, head, batch, device)
    for name, theirs in zip(("dense", "fused"), others, strict=True):
        megabytes = f"{ours / 1e6:8.0f} MB  {name} {theirs / 1e6:8.0f} MB"
        print(f"{f'head and loss, batch {batch}':34}{megabytes}   share {ours / theirs:5.1%}", flush=True)


def sampling_seconds(
    system: System,
    sweep: SweepConfig,
    model: nn.Module,
    batch: int,
    device: torch.device,
    steps: int,
    *,
    dense_steps: int,
    repeats: int,
    share_rows: bool = True,
) -> tuple[float, float, int]:
    """Seconds of sampling at one budget, at temperature 1 on a uniform grid and with deterministic latents.

    Args:
        steps: K.
        dense_steps: dense steps to make, at most; their time is scaled up.
        repeats: samplings of which the median is taken, after one that is not counted; with 0 there is one alone.
        share_rows: whether samples that are still equal share a pass.
    Returns:
        Ours, dense, and how many dense steps were made.
    """
    made = min(steps, dense_steps) if sweep.latent_steps == 0 else steps
    x = torch.full((batch, system.tokens), system.vocabulary, device=device)
    noise = SampleNoise(0, torch.arange(batch, device=device))
    neutral: dict[str, Any] = {"token_lag": 1.0, "eta": 0.0, "temperature": 1.0, "share_rows": share_rows}
    sides = (system, steps), (dense.make_dense(system), made)
    calls = [partial(sample, each.sampler(model, sweep, token_steps=k, **neutral), x, noise) for each, k in sides]
    model.eval()
    fast, slow = in_turns(device, repeats, *calls) if repeats else [seconds(call, device) for call in calls]
    return fast, slow * steps / made, made


def sampling(
    system: System,
    sweep: SweepConfig,
    model: nn.Module,
    batch: int,
    device: torch.device,
    budgets: list[int],
    dense_steps: int,
) -> None:
    """Seconds of sampling, ours and dense, at several budgets."""
    for steps in budgets:
        repeats = 3 if steps < 4 else 0
        options: dict[str, Any] = {"dense_steps": dense_steps, "repeats": repeats}
        fast, slow, made = sampling_seconds(system, sweep, model, batch, device, steps, **options)
        scaled = "" if made == steps else f"  (dense: {made} steps made)"
        show(f"sampling, K {steps}, batch {batch}", fast, slow, scaled)


def show(name: str, ours: float, theirs: float, remark: str = "") -> None:
    """One line."""
    print(f"{name:34}{ours:8.3f} s   dense {theirs:8.3f} s    ratio {theirs / ours:5.2f}{remark}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path, help="folder of a suite")
    parser.add_argument("sweep", help="one of its sweeps, whose model and schedule are measured")
    parser.add_argument("--batch", type=int, default=2, help="sequences, in training and sampling")
    parser.add_argument("--memory-batch", type=int, default=8, help="sequences, for the memory of head and loss")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128], help="token steps K")
    parser.add_argument("--dense-steps", type=int, default=8, help="dense sampling steps to make, at most")
    parser.add_argument("--repeats", type=int, default=12, help="training steps to time")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="of torch on a CPU")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device, suite = torch.device(options.device), load_suite(options.suite / "params.yaml")
    sweep = suite.sweeps[options.sweep]
    system = System.of(suite, sweep.model)
    network = system.settings.network
    latents = "" if system.shape is None else f" L {system.shape.length}"
    sizes = f"V {system.vocabulary} N {system.tokens}{latents} d {network.width} x {network.layers}"
    print(f"\n{options.suite} {options.sweep}: {sizes}, {device.type}", flush=True)
    model = build(system, device)
    sampling(system, sweep, model, options.batch, device, options.budgets, options.dense_steps)
    training(system, model, options.batch, device, options.repeats)
    memory(system, model, options.memory_batch, device)


if __name__ == "__main__":
    main()
