"""One model on one or many workers: how it is computed, replicated (DDP) or in shards (FSDP2), and its whole state."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ladd.distributed import world_size
from ladd.networks.transformer import Block, Transformer

if TYPE_CHECKING:
    from ladd.config import ExecutorConfig

COMPILER = "inductor"


class _Computation(nn.Module):
    """What is computed with a model, as a module: DDP and FSDP act at the calls of modules."""

    def __init__(self, model: nn.Module, compute: Callable[..., Any], precision: str):
        super().__init__()
        self.model, self.compute = model, compute
        device = next(model.parameters()).device.type
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")

    def forward(self, *arguments: Any) -> Any:
        with self.autocast:
            return self.compute(*arguments)


class Replica:
    """A computation with a model, on every worker.

    Args:
        model: the same on all workers; with "fsdp" its parameters become shards.
    """

    def __init__(self, model: nn.Module, compute: Callable[..., Any], executor: ExecutorConfig):
        self.sharding = executor.sharding if world_size() > 1 else None
        for module in model.modules():
            if isinstance(module, Transformer):
                module.recompute = executor.recompute
            if isinstance(module, Block) and executor.compile:
                module.compile(backend=COMPILER, fullgraph=True)
        self.module: Any = _Computation(model, compute, executor.precision)
        if self.sharding == "ddp" and any(p.requires_grad for p in model.parameters()):
            # Stage 1 uses no latent head, and the encoder stays out of Stage 2. Buffers are equal without messages:
            # the quantiser sees the latents of all workers.
            self.module = nn.parallel.DistributedDataParallel(
                self.module, broadcast_buffers=False, find_unused_parameters=True
            )
        elif self.sharding == "fsdp":
            shard(self.module)

    def __call__(self, *arguments: Any) -> Any:
        return self.module(*arguments)

    @contextlib.contextmanager
    def without_reduction(self, skip: bool) -> Iterator[None]:
        """Leave the gradients of a backward pass on this worker, where ``skip``: a later pass adds up all."""
        if skip and self.sharding == "ddp":
            with self.module.no_sync():
                yield
            return
        if self.sharding == "fsdp":
            self.module.set_requires_gradient_sync(not skip)
        yield


def shard(module: nn.Module) -> None:
    """FSDP2: every worker keeps a part of each parameter; a transformer block is put together while it computes."""
    from torch.distributed.fsdp import fully_shard  # a second, which one worker need not spend

    for block in module.modules():
        if isinstance(block, Block):
            fully_shard(block)
    fully_shard(module, reshard_after_forward=True)  # of its own accord, the outermost stays whole after validation


def whole_state(state: Any) -> Any:
    """A nested state with whole tensors in place of shards; all workers must call it."""
    return tree_map(lambda value: value.full_tensor() if is_shard(value) else value, state)


def shard_like(state: dict[str, Tensor], shards: dict[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors, cut as those of the same names are."""
    return {name: _cut(value, shards[name]) if name in shards else value for name, value in state.items()}


def shard_optimiser(state: dict[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """The state of an optimiser, cut as its parameters are."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    cut = {
        index: {
            name: _cut(value, parameters[index]) if value.shape == parameters[index].shape else value
            for name, value in values.items()
        }
        for index, values in state["state"].items()
    }
    return state | {"state": cut}


def _cut(value: Tensor, like: Tensor) -> Tensor:
    if is_shard(value) or not is_shard(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)  # type: ignore[attr-defined]


def is_shard(value: Any) -> bool:
    """Whether it is a tensor that is spread over workers."""
    return isinstance(value, Tensor) and hasattr(value, "full_tensor")
