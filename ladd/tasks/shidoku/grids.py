"""All grids of the 4 x 4 Sudoku, their symmetries, and the exact posterior of a partial grid.

A grid holds the values 0 to 3, each once in every row, column and 2 x 2 box; cells are numbered row by row.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import numpy as np
import torch
from torch import Tensor, nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import DISCRETE_SCHEDULES

SIDE, BOX = 4, 2
CELLS = SIDE * SIDE


@cache
def all_grids() -> np.ndarray:
    """The 288 grids in lexicographic order, uint8 (288, 16); read-only."""
    found: list[tuple[tuple[int, ...], ...]] = [()]
    for row in range(SIDE):
        found = [(*rows, new) for rows in found for new in permutations(range(SIDE)) if _fits(rows, new, row)]
    grids = np.array(found, dtype=np.uint8).reshape(-1, CELLS)
    grids.flags.writeable = False
    return grids


def _fits(rows: tuple[tuple[int, ...], ...], new: tuple[int, ...], place: int) -> bool:
    """Whether a row may stand below the rows before it."""
    if any(row[column] == new[column] for row in rows for column in range(SIDE)):
        return False
    above = rows[place - place % BOX :]  # of the same boxes
    return all(row[column] not in new[column - column % BOX :][:BOX] for row in above for column in range(SIDE))


@cache
def symmetries() -> np.ndarray:
    """Permutations of cells that take every grid to a grid, int64 (128, 16), the identity first.

    Rows may change places within a band of boxes, and the two bands may; so may columns; and both may be exchanged. A
    grid x becomes x[permutation].
    """
    bands = [[0, 1], [2, 3]]
    orders = [
        [*(bands[first] if a else bands[first][::-1]), *(bands[1 - first] if b else bands[1 - first][::-1])]
        for first, a, b in product((0, 1), (True, False), (True, False))
    ]
    cells = np.arange(CELLS).reshape(SIDE, SIDE)
    moved = [cells[rows][:, columns] for rows, columns in product(orders, orders)]
    return np.array([each.ravel() for grid in moved for each in (grid, grid.T)])


class ShidokuReference(nn.Module):
    """The exact posterior denoiser of sequences that are all equally likely, by enumeration.

    It has the interface of a network: its hidden states are log-probabilities (B, N, V) and its token head is the
    identity, so every token sampler and bound accepts it. Where no sequence has all the revealed tokens, the answer is
    uniform: tokens that were drawn together may contradict each other, and nothing that follows makes them valid.

    Args:
        grids: int (M, N), all that can occur.
        vocabulary: V.
    """

    one_hot: Tensor

    def __init__(self, grids: np.ndarray, vocabulary: int = SIDE):
        super().__init__()
        known = torch.from_numpy(np.asarray(grids, dtype=np.int64))
        self.register_buffer("one_hot", nn.functional.one_hot(known, vocabulary).double())  # (M, N, V)
        self.process = MaskedProcess(DISCRETE_SCHEDULES["linear"], vocabulary)  # whose denoiser it is
        self.token_head = nn.Identity()

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """log p(x_i = v | revealed tokens), float64 (B, N, V), of x int64 (B, N), V where masked; t is not needed."""
        vocabulary = self.one_hot.shape[2]
        revealed = nn.functional.one_hot(x, vocabulary + 1)[..., :vocabulary].double()
        agreeing = torch.einsum("bnv,mnv->bm", revealed, self.one_hot)
        fits = (agreeing == (x < vocabulary).sum(dim=1)[:, None]).double()
        counts = torch.einsum("bm,mnv->bnv", fits, self.one_hot)
        none = (fits.sum(dim=1) == 0)[:, None, None]
        counts = torch.where(none, torch.ones_like(counts), counts)
        return (counts / counts.sum(dim=-1, keepdim=True)).log()
