"""Samples of an exact denoiser against the law that its sampler has, by enumeration, for several step budgets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu.setting import Part, Setting, Values, expect
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample
from ladd.samplers.sources import Stream, TokenSource
from ladd.tasks.sawtooth import SawtoothReference

TOKENS, PERIODS, FLOOR, GRID = 4, 1, 0.15, 64
BUDGETS = (1, 2, 4)  # token steps K; 4 tokens are drawn together, in pairs, and mostly one by one
MOST = 5.0  # standard deviations of a chi-square statistic from its mean


def parts(setting: Setting) -> Iterator[Part]:
    """Every budget."""
    for steps in BUDGETS:
        yield Part(f"K {steps}", partial(exact_sampler, steps, 20_000 if setting.rehearsal else 1_000_000, setting))


def exact_sampler(steps: int, count: int, setting: Setting) -> Values:
    """Chi-square of samples of the sawtooth's exact posterior."""
    exact = SawtoothReference(TOKENS, PERIODS, FLOOR, GRID)
    law = law_of_steps(exact, steps)
    exact = exact.to(setting.device)
    source = TokenSource(Stream(exact.process, "token", (TOKENS,)), lambda x, t: Prediction(exact(x), exact.token_head))
    start = torch.full((count, TOKENS), exact.mask_id, device=setting.device)
    noise = SampleNoise(steps, torch.arange(count, device=setting.device))
    x = sample(Ancestral(source=source, token_steps=steps), start, noise).tokens.cpu()
    counts = torch.bincount((x * 2 ** torch.arange(TOKENS - 1, -1, -1)).sum(dim=1), minlength=len(law))
    expected, freedom = law * count, len(law) - 1
    excess = (float(((counts - expected) ** 2 / expected).sum()) - freedom) / math.sqrt(2 * freedom)
    values = {"samples": count, "sequences": len(law), "standard deviations from the law": excess}
    return expect(
        values,
        enough=("5 expected samples of every sequence", float(expected.min()) >= 5),
        law=(f"{MOST:g} standard deviations at most", abs(excess) < MOST),
    )


def law_of_steps(exact: SawtoothReference, steps: int) -> Tensor:
    """p(x) of every sequence, float64 (2^N,) in lexicographic order, under the sampler with so many steps.

    On the linear schedule and a uniform grid each position is revealed at one of the K steps with equal probability.
    Those of one step are drawn independently of each other, given all that earlier steps revealed.
    """
    x = torch.cartesian_prod(*[torch.arange(2)] * TOKENS)
    total = torch.zeros(len(x), dtype=torch.float64)
    for revealed_at in itertools.product(range(steps), repeat=TOKENS):
        step = torch.tensor(revealed_at)
        log_probability = torch.zeros(len(x), dtype=torch.float64)
        for index in sorted(set(revealed_at)):
            seen = torch.where(step < index, x, exact.mask_id)
            own = exact(seen).gather(-1, x[..., None])[..., 0]
            log_probability += own[:, step == index].sum(dim=1)
        total += log_probability.exp()
    return total / steps**TOKENS
