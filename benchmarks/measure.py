"""Seconds, peak memory, and the peaks of devices."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch.profiler import ProfilerActivity, profile

# bf16 FLOP/s, dense, by what the name of the device begins with: the makers' figures. An H100 or H200 with "PCIe" or
# "NVL" in its name is another part, with lower ones.
PEAKS = {"NVIDIA H100": 989.4e12, "NVIDIA H200": 989.4e12, "NVIDIA A100": 312e12}


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one call."""
    wait(device)
    start = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Until all work that a GPU was given is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def in_turns(device: torch.device, repeats: int, *calls: Callable[[], object]) -> list[float]:
    """Medians of the seconds of each, after one call of each that is not counted."""
    for call in calls:
        call()
    times = [[seconds(call, device) for call in calls] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def peak_flops(name: str) -> float | None:
    """Most bf16 FLOP/s of the device of that name, None where it is not known."""
    if "PCIe" in name or "NVL" in name:
        return None
    return next((value for key, value in PEAKS.items() if name.startswith(key)), None)


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


def ratio_error(over: Sequence[float], under: Sequence[float]) -> float:
    """Standard error of the ratio of two means of paired measurements (delta method); nan for one pair."""
    if len(over) < 2:
        return math.nan
    ratio = statistics.fmean(over) / statistics.fmean(under)
    residuals = [a - ratio * b for a, b in zip(over, under, strict=True)]
    return statistics.stdev(residuals) / statistics.fmean(under) / math.sqrt(len(over))
