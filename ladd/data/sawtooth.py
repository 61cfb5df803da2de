"""The randomly shifted binary sawtooth (paper, Section 5.1 and Eqs. 78-79)."""

from __future__ import annotations

import numpy as np

from ladd.diffusion.noise import derive


def one_probability(shift: np.ndarray, tokens: int, periods: int, floor: float) -> np.ndarray:
    """P(x_j = 1 | u), independent over positions given the shift.

    Args:
        shift: u in [0, 1), shape (M,).
        tokens: N.
        periods: P.
        floor: e, the smallest probability.
    Returns:
        float64 (M, N) in [e, 1 - e].
    """
    positions = (np.arange(tokens) / tokens + shift[:, None]) % 1.0
    phase = (periods * positions) % 1.0
    triangle = 1.0 - np.abs(2.0 * phase - 1.0)
    return floor + (1.0 - 2.0 * floor) * triangle


def draw_sequences(count: int, seed: int, name: str, *, tokens: int, periods: int, floor: float) -> np.ndarray:
    """Real sequences, uint8 (count, N), for a named split; other names are independent."""
    generator = np.random.default_rng(derive(seed, "sawtooth", name))
    shift = generator.random(count)
    return (generator.random((count, tokens)) < one_probability(shift, tokens, periods, floor)).astype(np.uint8)
