"""Latents of all blocks of a data set, computed once (paper, Appendix D)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ladd.data.shards import Rows, shard_path, write_shard
from ladd.errors import ArtifactError
from ladd.latents.frozen import FrozenTextEncoder
from ladd.latents.reduction import PrincipalComponents, Reduction, normalise_latents, truncate
from ladd.progress import bar

if TYPE_CHECKING:
    from ladd.config import ViewConfig

_BATCHES_AT_A_TIME = 16  # blocks that are sorted by length together, in batches


def fit_reductions(
    encoder: FrozenTextEncoder, rows: Rows, views: Mapping[str, ViewConfig], *, fit: int
) -> dict[str, Reduction]:
    """The reduction of each view; principal components are fitted on training blocks in a pass of their own.

    The states of this pass are not kept: the pass that writes the shards computes them again and so streams.

    Args:
        rows: training blocks, int (M, N).
        fit: how many blocks, at most; they are evenly spaced over the M, because the order of a corpus (by year, by
            topic) makes its first blocks a poor sample.
    """
    fitted = {name: view for name, view in views.items() if view.reduction == "pca"}
    fits = {(view.pooling, view.length): PrincipalComponents(encoder.hidden) for view in fitted.values()}
    if fits:
        chosen = np.linspace(0, len(rows) - 1, min(fit, len(rows))).round().astype(np.int64)
        for x in _chunks(rows, chosen, encoder, "principal components"):
            for _, pooled in encoder.pooled(x, fitted):
                for key, components in fits.items():
                    components.add(pooled[key])
    return {
        name: fits[view.pooling, view.length].reduction(view.width)
        if view.reduction == "pca"
        else truncate(encoder.hidden, view.width)
        for name, view in views.items()
    }


def encode_blocks(
    encoder: FrozenTextEncoder,
    rows: Rows,
    folder: Path,
    views: Mapping[str, ViewConfig],
    reductions: Mapping[str, Reduction],
    *,
    shard: int,
    worker: int = 0,
    workers: int = 1,
) -> None:
    """Write the latents of all blocks: folder/VIEW/00000.arrow, ... of float16 rows (L, w), aligned to the blocks.

    They are reduced and of the norm that their view asks for, as diffusion sees them.

    Shards that all views have are kept, so a killed run goes on where it was. The folder must therefore belong to one
    choice of encoder, blocks, views and shard; the caller names it after them, and moves it into place when done.

    Args:
        rows: blocks, int (M, N).
        shard: blocks per file.
        worker, workers: which of the processes that share out the shards this is, and how many there are. The bytes of
            a shard do not depend on them.
    """
    starts = range(0, len(rows), shard)
    for number in range(worker, len(starts), workers):
        start = starts[number]
        paths = {name: shard_path(folder / name, number) for name in views}
        if all(path.is_file() for path in paths.values()):
            continue
        chosen = np.arange(start, min(start + shard, len(rows)))
        parts = [encoder.views(x, views, reductions) for x in _chunks(rows, chosen, encoder, f"latents {number}")]
        for name, path in paths.items():
            latents = torch.cat([part[name] for part in parts])
            latents = normalise_latents(latents, views[name].shape.scale).half()
            if not latents.isfinite().all():
                raise ArtifactError(f"{path}: the encoder {encoder.name} gives latents that float16 cannot hold")
            write_shard(path, latents.cpu().numpy())


def _chunks(rows: Rows, chosen: np.ndarray, encoder: FrozenTextEncoder, title: str) -> Iterator[Tensor]:
    """The chosen blocks, int64 (B, N), as many at a time as are sorted by length together."""
    size = encoder.batch * _BATCHES_AT_A_TIME
    with bar(title, len(chosen), "block") as progress:
        for start in range(0, len(chosen), size):
            indices = chosen[start : start + size]
            yield rows[indices].long()
            progress.update(len(indices))
