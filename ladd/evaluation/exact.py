"""Exact references for the sawtooth, by quadrature over the shift, in float64.

Given the shift u the tokens are independent, so every quantity is an integral over u in [0, 1). The midpoint rule
with G points is used; the integrand is periodic in u, so the error falls fast with G.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from ladd.data.sawtooth import one_probability


class SawtoothReference(nn.Module):
    """Exact likelihood, oracle loss and posterior denoiser.

    As a denoiser it has the interface of a network: its hidden states are log-probabilities (B, N, 2) and its token
    head is the identity, so every token sampler and bound accepts it.

    Args:
        tokens: N.
        periods: P.
        floor: e.
        grid: G, quadrature points.
    """

    mask_id = 2
    log_table: Tensor

    def __init__(self, tokens: int, periods: int, floor: float, grid: int):
        super().__init__()
        # Shifts that differ by a whole period give the same law, so one period is enough.
        shift = (np.arange(grid) + 0.5) / grid / periods
        ones = torch.from_numpy(one_probability(shift, tokens, periods, floor))
        self.register_buffer("log_table", torch.stack([torch.log1p(-ones), ones.log()], dim=-1))  # (G, N, 2)
        self.token_head = nn.Identity()

    def log_likelihood_given_grid(self, x: Tensor) -> Tensor:
        """log p(revealed tokens | u) at every grid point: x int64 (B, N), 2 where masked -> float64 (B, G)."""
        revealed = nn.functional.one_hot(x, 3)[..., :2].double()
        return torch.einsum("bnv,gnv->bg", revealed, self.log_table)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x), float64 (B,), of complete sequences x int64 (B, N)."""
        return torch.logsumexp(self.log_likelihood_given_grid(x), dim=1) - math.log(len(self.log_table))

    def oracle_loss(self) -> float:
        """Entropy of a token given the shift, nats per token: no predictor that sees only u can do better."""
        probabilities = self.log_table.exp()
        return float(-(probabilities * self.log_table).sum(dim=-1).mean())

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """log p(x_i = v | revealed tokens), float64 (B, N, 2); t is not needed."""
        posterior = torch.softmax(self.log_likelihood_given_grid(x), dim=1)
        return torch.einsum("bg,gnv->bnv", posterior, self.log_table.exp()).log()
