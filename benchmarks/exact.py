"""Exact denoisers of Shidoku and the sawtooth for every sampler, and laws of samplers that can be enumerated.

The denoisers of the tasks give a token that is revealed probability 1. Correctors and path planning ask what the others
say of it: these denoisers answer that too, p(x_i | the others that are revealed), and are the same at masked positions.
Of the uniform process they give p(x_0^i | the others of x_t), exact for alpha = 1 - t.

Shapes: B states, N positions, V values, M grids or G points of the quadrature over shifts.
"""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import torch
from torch import Tensor, nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.uniform import UniformProcess
from ladd.samplers.sources import Stream, TokenSource
from ladd.tasks.shidoku import law

HEAD = nn.Identity()


def masked_source(denoiser: nn.Module, tokens: int, vocabulary: int) -> TokenSource:
    """Tokens under masks with the linear schedule."""
    stream = Stream(MaskedProcess(DISCRETE_SCHEDULES["linear"], vocabulary), "token", (tokens,))
    return TokenSource(stream, lambda x, t: Prediction(denoiser(x, t), HEAD))


def uniform_source(denoiser: nn.Module, tokens: int, vocabulary: int) -> TokenSource:
    """Tokens under uniform noise with the linear schedule."""
    stream = Stream(UniformProcess(DISCRETE_SCHEDULES["linear"], vocabulary), "token", (tokens,))
    return TokenSource(stream, lambda x, t: Prediction(denoiser(x, t), HEAD))


class Grids(nn.Module):
    """Sequences that are equally likely, under masks. Where none fits, the answer is uniform.

    Args:
        grids: int (M, N), all that can occur.
        vocabulary: V.
    """

    one_hot: Tensor

    def __init__(self, grids: np.ndarray, vocabulary: int):
        super().__init__()
        known = torch.from_numpy(np.asarray(grids, dtype=np.int64))
        # Products are counts below 2^24, which float32 holds exactly.
        self.register_buffer("one_hot", nn.functional.one_hot(known, vocabulary).float().flatten(1))
        self.vocabulary = vocabulary

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """log p(x_i = v | the others that are revealed), float64 (B, N, V), of x int64 (B, N), V where masked."""
        shown = nn.functional.one_hot(x, self.vocabulary + 1)[..., : self.vocabulary].float()
        agreeing = shown.flatten(1) @ self.one_hot.T
        count = shown.sum(dim=(1, 2))[:, None]
        of_all, of_others = (
            ((agreeing == count - missing).float() @ self.one_hot).view_as(shown) for missing in (0, 1)
        )
        # A grid that agrees with all but one position fits the others of that position.
        counts = of_all + of_others * (1 - shown) * (x < self.vocabulary)[..., None]
        counts = torch.where(counts.sum(dim=-1, keepdim=True) == 0, torch.ones_like(counts), counts).double()
        return (counts / counts.sum(dim=-1, keepdim=True)).log()


class BinaryMixture(nn.Module):
    """Binary tokens that are independent given one of G equally likely components, under masks.

    Args:
        ones: float64 (G, N), P(x_i = 1 | component), in (0, 1).
    """

    log_table: Tensor
    odds: Tensor

    def __init__(self, ones: np.ndarray):
        super().__init__()
        table = torch.stack([1 - torch.from_numpy(ones), torch.from_numpy(ones)], dim=-1)
        self.register_buffer("log_table", table.log())
        self.register_buffer("odds", table.flip(-1) / table)  # of the other value, by this one

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """log p(x_i = v | the others that are revealed), float64 (B, N, 2), of x int64 (B, N), 2 where masked."""
        shown = nn.functional.one_hot(x, 3)[..., :2].double()
        weight = torch.softmax(shown.flatten(1) @ self.log_table.flatten(1).T, dim=1)
        of_masked = (weight @ self.log_table.exp().flatten(1)).view_as(shown)
        # What x_i itself says is divided out: relative to its value, the other one has these odds.
        of_shown = shown + (weight @ self.odds.flatten(1)).view_as(shown).mul(shown).flip(-1)
        of_shown = of_shown / of_shown.sum(dim=-1, keepdim=True)
        return torch.where((x < 2)[..., None], of_shown, of_masked).log()


class UnderUniformNoise(nn.Module):
    """Tokens that are independent given one of G equally likely components, under uniform noise.

    Args:
        table: float64 (G, N, V), p(x_i = v | component).
    """

    table: Tensor

    def __init__(self, table: Tensor):
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """log p(x_0^i = v | the others of x_t), float64 (B, N, V), of x int64 (B, N), all at one time t (B,)."""
        assert (t == t[0]).all(), "all states are at one time"
        _, positions, vocabulary = self.table.shape
        noisy = (1 - t[0]) * self.table + t[0] / vocabulary
        seen = nn.functional.one_hot(x, vocabulary).double()
        weight = torch.softmax(seen.flatten(1) @ noisy.log().flatten(1).T, dim=1)
        # Each component's share without x_i, for every value that x_i may have.
        without = (self.table[:, :, None] / noisy[..., None]).flatten(1)
        mass = (weight @ without).view(-1, positions, vocabulary, vocabulary)
        mass = mass.gather(2, x[:, :, None, None].expand(-1, -1, 1, vocabulary))[:, :, 0]
        return (mass / mass.sum(dim=-1, keepdim=True)).log()


def equal_group_law(grids: np.ndarray, steps: int, symmetries: np.ndarray) -> law.ExactLaw:
    """Law of K steps that reveal equal numbers of positions, chosen at random, each drawn independently.

    Args:
        grids: int (M, N), equally likely, with the exact denoiser; a renaming of values must turn grids into grids.
        steps: K, a divisor of N.
        symmetries: permutations of positions that take grids to grids; a group.
    """
    classes = law.classes_of(grids, symmetries)
    probability = np.zeros(len(grids))
    for each in np.unique(classes):
        members = np.flatnonzero(classes == each)
        probability[members] = equal_group_probability(grids, grids[members[0]], steps)
    return law.ExactLaw(probability)


def equal_group_probability(grids: np.ndarray, x: np.ndarray, steps: int) -> float:
    """That of one grid x, by recursion over the sets of positions that are revealed after each step."""
    positions, size = len(x), len(x) // steps
    counts = law._agreeing(grids, x)
    sets = np.arange(1 << positions)
    sizes = np.array([int(each).bit_count() for each in sets])
    reached = np.zeros(1 << positions)  # probability of x from a set on
    reached[-1] = 1.0
    groups = [np.array(each) for each in combinations(range(positions), size)]
    for shown in range(positions - size, -1, -size):
        of_size = sets[sizes == shown]
        for group in groups:
            bits = 1 << group
            before = of_size[(of_size & bits.sum()) == 0]
            drawn = (counts[before[:, None] | bits] / counts[before][:, None]).prod(axis=1)
            reached[before] += reached[before | bits.sum()] * drawn
        reached[of_size] /= comb(positions - shown, size)
    return float(reached[0])
