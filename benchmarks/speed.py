"""Training step, memory and sampling of one sweep's model, as ratios to the dense way (benchmarks/dense.py).

    python -m benchmarks.speed suites/lm1b co-32-joint --batch 2 --memory-batch 8

Random tokens, latents and weights. Both sides of a ratio are measured in turns in one process. A dense sampling step
costs the same in every step, so that more than --dense-steps of them are not made: their time is scaled up, which the
output says. A training step is compared with three others: one as public implementations write it (dense losses,
PyTorch's AdamW with its defaults, an average that goes from parameter to parameter), and ours with dense losses alone.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import dense
from benchmarks.scaling import step_macs
from ladd.config import Suite, SweepConfig, TrainingConfig, load_suite
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import TimeDraw
from ladd.samplers.base import Sampler, sample
from ladd.systems.base import System
from ladd.training.batches import TokenTask
from ladd.training.checkpoint import Checkpoint
from ladd.training.loop import Trainer

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bf16 FLOP/s, dense: the makers' figures


class Nowhere:
    """An executor context that keeps nothing."""

    def latest(self) -> Checkpoint | None:
        return None

    def save(self, checkpoint: Checkpoint, kept: Collection[int]) -> None: ...

    def report(self, row: dict[str, float]) -> None: ...

    def stopping(self, step: int) -> bool:
        return False


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one call."""
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def in_turns(device: torch.device, repeats: int, *calls: Callable[[], object]) -> list[float]:
    """Medians of the seconds of each, after one call of each that is not counted."""
    for call in calls:
        call()
    times = [[seconds(call, device) for call in calls] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def build(system: System, device: torch.device) -> nn.Module:
    """The untrained model of a sweep, all of whose blocks do something."""
    torch.manual_seed(0)
    model = system.build()
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    return model.to(device)


def make_trainer(suite: Suite, sweep: SweepConfig, model: nn.Module, batch: int, device: torch.device) -> Trainer:
    """A training run of the sweep's model on random rows."""
    config, system, rows = suite.model(sweep.model), System.of(suite, sweep.model), 16 * batch
    x = torch.randint(system.vocabulary, (rows, system.tokens), device=device)
    latents = None
    if (shape := system.shape) is not None:
        latents = torch.randn(rows, shape.length, shape.width, device=device)
        if shape.codebook:
            latents = torch.randint(shape.codebook, (rows, shape.length), device=device)
    task = TokenTask(model, system.losses, x, x, system.vocabulary, latents, latents)
    executor = config.training.executor
    if device.type == "cpu":  # as in the suites that a CPU runs
        executor = executor.model_copy(update={"precision": "float32", "compile": False})
    training = config.training.model_copy(update={"batch": batch, "executor": executor})
    return Trainer(task, TrainingConfig.model_validate(training.model_dump()), Nowhere(), seed=0)


def training(
    suite: Suite, sweep: SweepConfig, model: nn.Module, batch: int, device: torch.device, repeats: int
) -> None:
    """Seconds of a whole training step, ours and dense: forward, backward, clipping, optimiser, average.

    The number of masked positions varies from step to step, so all sides take the same steps, and means are compared.
    """
    trainer = make_trainer(suite, sweep, model, batch, device)
    plain = torch.optim.AdamW(trainer.parameters, weight_decay=trainer.config.weight_decay)

    def step_by(loss: Callable[..., Tensor]) -> None:
        losses = dense.make_dense(System.of(suite, sweep.model), loss).losses
        with mock.patch.object(trainer.task, "compute", losses):
            trainer.train_step()

    def straightforward() -> None:
        update = partial(dense.update_average, trainer.average)
        with mock.patch.object(trainer, "optimiser", plain), mock.patch.object(trainer.average, "update", update):
            step_by(dense.masked_cross_entropy)

    sides = [
        trainer.train_step,
        straightforward,
        partial(step_by, dense.masked_cross_entropy),
        partial(step_by, dense.fused_cross_entropy),
    ]
    times = []
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
        config = suite.model(sweep.model)
        flops = 6 * batch * step_macs(suite, config)
        name = torch.cuda.get_device_name()
        peak = next((value for key, value in PEAKS.items() if key in name), None)
        tokens = batch * suite.data[config.data].tokens / ours
        share = f"{flops / ours / peak:.1%} of the peak of {name}" if peak else f"no peak is known of {name}"
        print(f"  {tokens:,.0f} tokens/s, {flops / ours / 1e12:.1f} TFLOP/s, {share}")


def memory(suite: Suite, sweep: SweepConfig, model: nn.Module, batch: int, device: torch.device) -> None:
    """Peak memory of head and loss, forward and backward, beyond hidden states, weights and their gradients."""
    config = suite.model(sweep.model)
    data = suite.data[config.data]
    denoiser = getattr(model, "denoiser", model)
    head, hidden = denoiser.token_head, torch.randn(batch, data.tokens, config.network.width, device=device)
    x = torch.randint(data.vocabulary, (batch, data.tokens), device=device)
    noise, weight = SampleNoise(0, torch.arange(batch, device=device)), torch.ones(batch, device=device)
    times = (torch.arange(batch, device=device) + 0.5) / batch
    process = MaskedProcess(DISCRETE_SCHEDULES["linear"], data.vocabulary)
    mask = process.draw_mask(times, StreamNoise(noise, "token"), data.tokens)

    def peak(loss: Callable[..., Tensor]) -> float:
        head.zero_grad(set_to_none=True)
        states = hidden.clone().requires_grad_()
        used = peak_bytes(lambda: loss(states, head, x, mask, weight).sum().backward(), device)
        return used - sum(p.grad.nbytes for p in (states, *head.parameters()))

    def lean(states: Tensor, head: nn.Module, x: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        return process.loss(Prediction(states, head), x, Noised(x, mask), TimeDraw(times, weight), "constant")

    ours = peak(lean)
    for name, loss in (("dense", dense.masked_cross_entropy), ("fused", dense.fused_cross_entropy)):
        theirs = peak(loss)
        megabytes = f"{ours / 1e6:8.0f} MB  {name} {theirs / 1e6:8.0f} MB"
        print(f"{f'head and loss, batch {batch}':34}{megabytes}   share {ours / theirs:5.1%}", flush=True)
    head.zero_grad(set_to_none=True)


def peak_bytes(call: Callable[[], object], device: torch.device) -> int:
    """Most memory that tensors held during a call, beyond what they held before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        call()
    events = [e for e in trace.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


def sampler_of(system: System, sweep: SweepConfig, model: nn.Module, steps: int) -> Sampler:
    """The sampler of a sweep at one budget, at temperature 1 on a uniform grid and with deterministic latents."""
    return system.sampler(model, sweep, token_steps=steps, token_lag=1.0, eta=0.0, temperature=1.0)


def sampling(
    suite: Suite,
    sweep: SweepConfig,
    model: nn.Module,
    batch: int,
    device: torch.device,
    budgets: list[int],
    dense_steps: int,
) -> None:
    """Seconds of sampling, ours and dense, at several budgets."""
    data = suite.data[sweep.data]
    ours, theirs = System.of(suite, sweep.model), dense.make_dense(System.of(suite, sweep.model))
    model.eval()
    x = torch.full((batch, data.tokens), data.vocabulary, device=device)
    noise = SampleNoise(0, torch.arange(batch, device=device))
    for steps in budgets:
        made = min(steps, dense_steps) if sweep.latent_steps == 0 else steps
        pairs = (sampler_of(ours, sweep, model, steps), sampler_of(theirs, sweep, model, made))
        calls = [partial(sample, sampler, x, noise) for sampler in pairs]
        fast, slow = in_turns(device, 3, *calls) if steps < 4 else [seconds(call, device) for call in calls]
        slow *= steps / made
        scaled = "" if made == steps else f"  (dense: {made} steps made)"
        show(f"sampling, K {steps}, batch {batch}", fast, slow, scaled)


def ratio_error(over: Sequence[float], under: Sequence[float]) -> float:
    """Standard error of the ratio of two means of paired measurements (delta method); nan for one pair."""
    if len(over) < 2:
        return math.nan
    ratio = statistics.fmean(over) / statistics.fmean(under)
    residuals = [a - ratio * b for a, b in zip(over, under, strict=True)]
    return statistics.stdev(residuals) / statistics.fmean(under) / math.sqrt(len(over))


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
    config = suite.model(sweep.model)
    data, network = suite.data[config.data], config.network
    system = System.of(suite, sweep.model)
    latents = "" if system.shape is None else f" L {system.shape.length}"
    sizes = f"V {data.vocabulary} N {data.tokens}{latents} d {network.width} x {network.layers}"
    print(f"\n{options.suite} {options.sweep}: {sizes}, {device.type}", flush=True)
    model = build(system, device)
    sampling(suite, sweep, model, options.batch, device, options.budgets, options.dense_steps)
    training(suite, sweep, model, options.batch, device, options.repeats)
    memory(suite, sweep, model, options.memory_batch, device)


if __name__ == "__main__":
    main()
