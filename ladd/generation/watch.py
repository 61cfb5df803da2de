"""A sample step by step, as lines of text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import torch
from torch import Tensor

from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Step
from ladd.samplers.base import Sampler, State, sample

Show = Callable[[str], None]
Decode = Callable[[list[int]], str]
MASK = "_"  # stands for one masked token


def watch(sampler: Sampler, start: Tensor, noise: SampleNoise, decode: Decode, show: Show, *, vocabulary: int) -> None:
    """Draw one sample, and show it after every step that changed it.

    Args:
        start: tokens int64 (1, N), V where one is to be drawn.
        decode: tokens -> text.
        vocabulary: V.
    """
    before = start

    def show_step(step: Step, state: State) -> None:
        nonlocal before
        if torch.equal(before, state.tokens):
            return
        before, passes = state.tokens, int(state.token_passes + state.latent_passes)
        text = with_masks(state.tokens[0].tolist(), vocabulary, decode)
        show(f"step {step.index + 1}, t {float(step.t):.3f} to {float(step.s):.3f}, passes {passes}: {text}")

    sample(sampler, start, noise, show_step)


def with_masks(tokens: list[int], vocabulary: int, decode: Decode) -> str:
    """Text of tokens, those that are V shown as `MASK`; each stretch between masks is decoded by itself."""
    stretches = groupby(tokens, lambda token: token == vocabulary)
    return "".join(MASK * len([*part]) if masked else decode([*part]) for masked, part in stretches)
