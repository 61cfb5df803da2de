"""Exact laws of ancestral sampling with the exact denoiser, and what n samples of a law are expected to show.

On a uniform grid of K steps under the linear schedule each position is revealed at one of the steps, each with
probability 1/K, independently of the others (paper, Eq. 44). So

    P_K(x) = K^-N  sum over chains {} = S_0, S_1, ..., S_K = all, each within the next, of
             product over k, and over i in S_k without S_(k-1), of p(x_i | x on S_(k-1)),

where p is the denoiser's factorised prediction. With G_0(S) = 1 if S is everything, else 0, and

    G_r(S) = sum over T that contain S of G_(r-1)(T) x product over i in T without S of p(x_i | x on S),

P_K(x) = K^-N G_K({}). One pass over the sets, from large to small, gives all K up to R.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ExactLaw(NamedTuple):
    """A law over sequences, as far as it concerns M of them that are equally likely in the data.

    Attributes:
        probability: float64 (M,); what is left to 1 is the probability of all others.
    """

    probability: np.ndarray

    @property
    def valid(self) -> float:
        """Probability of one of the M."""
        return float(self.probability.sum())

    @property
    def total_variation(self) -> float:
        """From the uniform law over the M."""
        uniform = 1 / len(self.probability)
        return 0.5 * float(np.abs(self.probability - uniform).sum() + 1 - self.valid)

    @property
    def divergence(self) -> float:
        """Kullback-Leibler divergence from the uniform law to this one, nats."""
        return float(-np.log(self.probability * len(self.probability)).mean())

    def expected_coverage(self, n: int) -> float:
        """Expected number of the M among n samples."""
        return float((1 - (1 - self.probability) ** n).sum())

    def expected_total_variation(self, n: int) -> float:
        """Expected total variation between the shares of n samples and the uniform law: above that of the law."""
        deviations = absolute_deviation(n, self.probability, 1 / len(self.probability))
        return 0.5 * float(deviations.sum() + 1 - self.valid)


def uniform_law(count: int) -> ExactLaw:
    """The law of perfect samples."""
    return ExactLaw(np.full(count, 1 / count))


def absolute_deviation(n: int, probability: np.ndarray, from_: float) -> np.ndarray:
    """E |X / n - from_| for X ~ Binomial(n, p), by the sum over X; probability (M,) -> float64 (M,)."""
    from scipy import stats

    shares = np.abs(np.arange(n + 1) / n - from_)
    different, place = np.unique(probability, return_inverse=True)
    sums = [float(stats.binom.pmf(np.arange(n + 1), n, p) @ shares) for p in different]
    return np.array(sums)[place]


def ancestral_laws(grids: np.ndarray, most: int, symmetries: np.ndarray) -> list[ExactLaw]:
    """The laws of ancestral sampling with the exact posterior of equally likely grids, at 1, ..., ``most`` steps.

    Args:
        grids: int (M, N), all that can occur; a renaming of values must turn grids into grids.
        most: R, steps.
        symmetries: permutations of positions, int64 (P, N), that take grids to grids; a group. With a renaming of
            values they do not change the law, so one grid of each class is enough.
    """
    classes = classes_of(grids, symmetries)
    values = np.zeros((most, len(grids)))
    for each in np.unique(classes):
        members = np.flatnonzero(classes == each)
        values[:, members] = chain_sums(grids, grids[members[0]], most, symmetries)[:, None]
    steps = np.arange(1, most + 1, dtype=float)[:, None]
    return [ExactLaw(row) for row in values * steps ** -float(grids.shape[1])]


def classes_of(grids: np.ndarray, symmetries: np.ndarray) -> np.ndarray:
    """A number for each grid (M,), the same for those that a symmetry and a renaming of values turn into each other."""
    forms = [np.array([_renamed(grid[moved]) for moved in symmetries]) for grid in grids]
    least = np.array([each[np.lexsort(each.T[::-1])[0]] for each in forms])
    return np.unique(least, axis=0, return_inverse=True)[1].ravel()


def _renamed(grid: np.ndarray) -> np.ndarray:
    """The grid with its values named in the order in which they first occur."""
    _, first, places = np.unique(grid, return_index=True, return_inverse=True)
    return first.argsort().argsort()[places.ravel()]


def chain_sums(grids: np.ndarray, x: np.ndarray, most: int, symmetries: np.ndarray) -> np.ndarray:
    """G_r({}) of the grid x for r = 1, ..., ``most``, float64 (most,); other arguments as in `ancestral_laws`."""
    cells = len(x)
    bits = 1 << np.arange(cells)
    counts = _agreeing(grids, x)
    leaders = _leaders(x, symmetries)
    sums = np.zeros((1 << cells, most + 1))
    sums[-1] = 1.0
    for part in sorted(np.unique(leaders[:-1]), key=lambda each: -int(each).bit_count()):
        free = bits[(part & bits) == 0]
        supersets, weights = np.array([part]), np.ones(1)
        for bit in free:
            supersets = np.concatenate([supersets, supersets | bit])
            weights = np.concatenate([weights, weights * (counts[part | bit] / counts[part])])
        # Of the sets that contain it, the first is the set itself, at one step less.
        others = weights[1:] @ sums[leaders[supersets[1:]], :-1]
        sums[part, 1:] = others.cumsum()
    return sums[0, 1:]


def _agreeing(grids: np.ndarray, x: np.ndarray) -> np.ndarray:
    """For every set of positions, as bits, how many grids are as x on it, int64 (2^N,)."""
    cells = len(x)
    counts = np.bincount(((grids == x) << np.arange(cells)).sum(axis=1), minlength=1 << cells)
    for cell in range(cells):
        halves = counts.reshape(-1, 2, 1 << cell)
        halves[:, 0] += halves[:, 1]
    return counts


def _leaders(x: np.ndarray, symmetries: np.ndarray) -> np.ndarray:
    """For every set of positions the smallest of those that the symmetries of x take it to, int64 (2^N,)."""
    cells = len(x)
    own = [moved for moved in symmetries if np.array_equal(_renamed(x[moved]), _renamed(x))]
    sets = np.arange(1 << cells)
    leaders = sets.copy()
    for moved in own:
        images = sum(((sets >> cell) & 1) << int(place) for cell, place in enumerate(moved))
        leaders = np.minimum(leaders, images)
    return leaders
