"""Random numbers as pure functions of (seed, name, sample, step, coordinate).

A counter-based generator has no state to save: a resumed run draws what the uninterrupted one would have
drawn, and a sample's noise does not depend on the batch, the rank or the order in which it is computed.
The hash is the SplitMix64 finaliser (Steele, Lea & Flood, 2014).
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator
from copy import copy

import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX_1 = -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
_MIX_2 = -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for a named purpose.

    Args:
        seed: the suite's seed.
        names: what it is for, for example ``("sample", "di-seq")``; other names give unrelated seeds.
    """
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift; ``>>`` on int64 is arithmetic."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


class SampleNoise:
    """Noise for a batch of samples, each with a stream of its own.

    Args:
        seed: what the draws are for (see `derive`).
        samples: int64 (B,), global indices of the samples.
    """

    def __init__(self, seed: int, samples: Tensor):
        self.seed = seed
        self.samples = samples
        self.whole, self.rows = self, slice(None)

    def part(self, rows: slice) -> SampleNoise:
        """The same streams for some rows of a batch that is computed in parts.

        What is drawn for all samples together, such as stratified times, is drawn for ``whole``, the batch, and
        ``rows`` of it belong to this part.
        """
        part = self.select(rows)
        part.whole, part.rows = self, rows
        return part

    def select(self, rows: Tensor | slice) -> SampleNoise:
        """The same streams for a subset as a batch of its own; ``rows`` indexes samples or is a mask of shape (B,)."""
        return SampleNoise(self.seed, self.samples[rows])

    def uniform(self, name: str, step: int, *shape: int) -> Tensor:
        """Uniform draws in the open interval (0, 1).

        Args:
            name: which quantity is drawn; different names are independent.
            step: training or sampling step.
            shape: shape per sample.
        Returns:
            float64 (B, *shape).
        """
        stream = _mix(self.samples * _GOLDEN + derive(self.seed, name, step))
        counter = torch.arange(1, math.prod(shape) + 1, device=self.samples.device) * _GOLDEN
        # 52 bits: with 53 the half would round the largest draw up to 1.
        bits = _shift(_mix(stream[:, None] + counter), 12)
        return ((bits.double() + 0.5) * 2.0**-52).view(-1, *shape)

    def normal(self, name: str, step: int, *shape: int) -> Tensor:
        """Standard normal draws, float64 (B, *shape), by inversion of `uniform`."""
        return torch.special.ndtri(self.uniform(name, step, *shape))


class StreamNoise:
    """The draws of one stream of a batch (tokens, codes, latents) at one step; streams of other names are independent.

    Args:
        step: training step, draw number, or sampling step.
    """

    def __init__(self, noise: SampleNoise, stream: str, step: int = 0):
        self.noise, self.stream, self.step = noise, stream, step
        self._once: dict[int, Tensor] = {}

    def at(self, step: int) -> StreamNoise:
        """The draws of another step."""
        other = copy(self)
        other.step = step
        return other

    def select(self, rows: Tensor) -> StreamNoise:
        """Those of some samples, see `SampleNoise.select`."""
        return StreamNoise(self.noise.select(rows), self.stream, self.step)

    def uniform(self, what: str, *shape: int) -> Tensor:
        """Uniform draws float64 (B, *shape) in (0, 1) for one purpose; "" is the stream's own."""
        return self.noise.uniform(self._name(what), self.step, *shape)

    def normal(self, what: str, *shape: int) -> Tensor:
        """Standard normal draws float64 (B, *shape)."""
        return self.noise.normal(self._name(what), self.step, *shape)

    def fixed(self, positions: int) -> Tensor:
        """One uniform draw per position, float64 (B, N), the same at every step: what is drawn once in a trajectory."""
        if positions not in self._once:
            self._once[positions] = self.noise.uniform(self.stream, 0, positions)
        return self._once[positions]

    def _name(self, what: str) -> str:
        return f"{self.stream}_{what}" if what else self.stream


class StepStream:
    """Draws of library code from torch's global generators, apart from all that is drawn outside.

    What all workers must draw alike goes through it: outside, each draws dropout masks of its own. Until `restart` is
    called, draws come from the global generators as they are.
    """

    def __init__(self) -> None:
        self.seed: int | None = None
        self.uses = 0

    def restart(self, seed: int) -> None:
        """Begin a step: the next uses are a function of ``seed`` and their number."""
        self.seed, self.uses = seed, 0

    @contextlib.contextmanager
    def use(self, device: torch.device) -> Iterator[None]:
        """Draw from this stream inside; the global generators of the CPU and ``device`` are left as they were."""
        if self.seed is None:
            yield
            return
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive(self.seed, "use", self.uses) if self.uses else self.seed)
            self.uses += 1
            yield
