"""From the encoder's width h to the latents' width w: Matryoshka truncation or principal components.

Reductions are linear, so they commute with the means of the pooling. They do not normalise: that is done by
`normalise_latents` when latents are stored, or where a model encodes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ladd.errors import ConfigError, reading
from ladd.files import write_atomically


class Reduction(nn.Module):
    """The map (states - mean) @ components.

    Args:
        mean: (h,), subtracted first.
        components: (h, w), a column per coordinate of the latents.
        explained: (w,), share of the variance that each coordinate takes; NaN for a truncation, which saw no data.
    """

    mean: Tensor
    components: Tensor
    explained: Tensor

    def __init__(self, mean: Tensor, components: Tensor, explained: Tensor):
        super().__init__()
        self.register_buffer("mean", mean.float())
        # Contiguous, as it is read back from a file: another memory layout rounds the product otherwise.
        self.register_buffer("components", components.float().contiguous())
        self.register_buffer("explained", explained.float())

    @property
    def width(self) -> int:
        """w."""
        return self.components.shape[1]

    def forward(self, states: Tensor) -> Tensor:
        """Reduced states, float32 (..., w), of states (..., h)."""
        return (states.float() - self.mean) @ self.components

    def save(self, path: Path) -> None:
        """Write the buffers as safetensors, whole or not at all."""
        write_atomically(path, save(self.state_dict()))

    @staticmethod
    def load(path: Path) -> Reduction:
        """Read what `save` wrote.

        Raises:
            ArtifactError: the file is missing or broken.
        """
        with reading(path, "`dvc checkout` puts the file back, or remove its folder and run `dvc repro`"):
            return Reduction(**load_file(path))


def truncate(hidden: int, width: int) -> Reduction:
    """The first w of h coordinates, for encoders trained so that they carry the most (Matryoshka).

    Raises:
        ConfigError: w exceeds h.
    """
    _check_width(hidden, width)
    return Reduction(torch.zeros(hidden), torch.eye(hidden, width), torch.full((width,), torch.nan))


class PrincipalComponents:
    """Mean and covariance of a stream of states in float64; memory is h x h however many come.

    The covariance is kept centred (Chan, Golub & LeVeque, 1983): sums of squares would cancel digits for the
    coordinates of transformers whose mean is far larger than their spread.
    """

    def __init__(self, hidden: int):
        self.count = 0
        self.mean = torch.zeros(hidden, dtype=torch.float64)
        self.scatter = torch.zeros(hidden, hidden, dtype=torch.float64)

    def add(self, states: Tensor) -> None:
        """Take in states (..., h)."""
        batch = states.detach().flatten(0, -2).cpu().double()
        count = self.count + len(batch)
        mean = batch.mean(dim=0)
        centred, shift = batch - mean, mean - self.mean
        self.scatter += centred.T @ centred + torch.outer(shift, shift) * (self.count * len(batch) / count)
        self.mean += shift * (len(batch) / count)
        self.count = count

    def reduction(self, width: int, *, whiten: bool = False) -> Reduction:
        """The w directions of largest variance, each signed so that its largest entry is positive.

        Args:
            width: w.
            whiten: divide each coordinate by its standard deviation. Off by default: the leading components carry
                the meaning, and equal variances would give the noise in the last ones the same say in the norm.
        Raises:
            ConfigError: w exceeds h, or there are not more than w states to fit on.
        """
        _check_width(len(self.mean), width)
        if self.count <= width:
            raise ConfigError(
                f"width: {width} principal components need more than {width} latents to fit on, there are "
                f"{self.count}; fit on more rows or lower the width"
            )
        variances, vectors = torch.linalg.eigh(self.scatter / (self.count - 1))
        variances, vectors = variances.clamp(min=0).flip(0), vectors.flip(1)[:, :width]
        largest = vectors.abs().argmax(dim=0, keepdim=True)
        components = vectors * vectors.gather(0, largest).sign()
        if whiten:
            components = components / variances[:width].clamp(min=1e-12 * variances[0]).sqrt()
        return Reduction(self.mean, components, variances[:width] / variances.sum())


def _check_width(hidden: int, width: int) -> None:
    if width > hidden:
        raise ConfigError(
            f"width: latents of width {width} cannot be cut from encoder states of width {hidden}; "
            f"set it to {hidden} or less"
        )


def normalise_latents(z: Tensor, scale: float) -> Tensor:
    """Vectors of norm ``scale`` along the last axis (paper, Eq. 75).

    A fixed norm keeps the encoder from raising the signal-to-noise ratio by growing its outputs. With
    scale = sqrt(w) the coordinates have unit variance, the scale that the schedules are made for.
    """
    return torch.nn.functional.normalize(z, dim=-1) * scale
