"""One norm for all latent vectors (paper, Appendix D)."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise_latents(z: Tensor, scale: float) -> Tensor:
    """Vectors of norm ``scale`` along the last axis (paper, Eq. 75).

    A fixed norm keeps the encoder from raising the signal-to-noise ratio by growing its outputs. With
    scale = sqrt(w) the coordinates have unit variance, the scale that the schedules are made for.
    """
    return torch.nn.functional.normalize(z, dim=-1) * scale
