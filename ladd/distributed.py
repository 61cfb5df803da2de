"""Processes that train one model together: who they are, and what they tell each other.

Without a process group there is one worker, and nothing is sent.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def rank() -> int:
    """Number of this worker, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """How many workers there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def sum_over_workers(values: Tensor) -> Tensor:
    """Sum of the workers' tensors, of any shape, on every worker."""
    if world_size() == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total


def gather_rows(rows: Tensor) -> Tensor:
    """Rows (B, ...) of all workers, (W B, ...), in the order of their ranks; only this worker's carry gradients."""
    if world_size() == 1:
        return rows
    everywhere = [torch.empty_like(rows) for _ in range(world_size())]
    distributed.all_gather(everywhere, rows.detach().contiguous())
    everywhere[rank()] = rows
    return torch.cat(everywhere)


def own_rows(rows: Tensor) -> Tensor:
    """This worker's part of what `gather_rows` put together."""
    return rows.tensor_split(world_size())[rank()]


def local(tensor: Tensor) -> Tensor:
    """This worker's shard of a tensor that is spread over workers; any other tensor as it is."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor
