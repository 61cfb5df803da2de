"""Optimisers: AdamW for all parameters, or Muon for the matrices of the transformer blocks and AdamW for the rest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ladd.networks.transformer import Stream
from ladd.training.replica import shard_optimiser

if TYPE_CHECKING:
    from ladd.config import MuonConfig, TrainingConfig


class Optimiser:
    """What takes the steps of a training.

    Muon (Jordan et al., 2024) takes the matrices that a block multiplies its hidden states with. It moves each by an
    orthogonal matrix, so its rate is that of no AdamW. Embeddings, heads, modulations and vectors are AdamW's.

    Args:
        model: whose parameters are trained; frozen ones are left alone.
        config: rates, decays and schedule.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig):
        self.config = config
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        chosen = config.optimiser
        matrices = block_matrices(model) if chosen.kind == "muon" else []
        taken = {id(p) for p in matrices}
        rest = [p for p in self.parameters if id(p) not in taken]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                rest,
                config.learning_rate,
                betas=(chosen.betas[0], chosen.betas[1]),
                weight_decay=config.weight_decay,
                fused=True,
            )
        ]
        if matrices:
            chosen = cast("MuonConfig", chosen)
            muon = torch.optim.Muon(matrices, chosen.rate, weight_decay=chosen.decay, momentum=chosen.momentum)
            self.parts.append(muon)
        self.rates = [float(part.defaults["lr"]) for part in self.parts]

    def step(self, step: int) -> None:
        """Take a step with the gradients that are there.

        Args:
            step: its number, which the rates depend on.
        """
        share = rate_share(self.config, step)
        for part, rate in zip(self.parts, self.rates, strict=True):
            for group in part.param_groups:
                group["lr"] = share * rate
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of AdamW, and of Muon where it is used."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take over a state, whole or in shards as the parameters are."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(shard_optimiser(state, part))


def block_matrices(model: nn.Module) -> list[Tensor]:
    """Trained matrices of the streams of all blocks."""
    streams = [module for module in model.modules() if isinstance(module, Stream)]
    return [layer.weight for stream in streams for layer in stream.matrices() if layer.weight.requires_grad]


def rate_share(config: TrainingConfig, step: int) -> float:
    """Share of the learning rate in a step: a linear warm-up, then constant, a cosine to zero, or constant up to a
    linear cool-down over the last steps."""
    warm = min(1.0, (step + 1) / (config.warmup + 1))
    if config.decay == "cosine":
        progress = max(0, step - config.warmup) / (config.steps - config.warmup)
        return warm * 0.5 * (1 + math.cos(math.pi * progress))
    if config.decay == "linear":
        return warm * min(1.0, (config.steps - step) / (config.cooldown * config.steps))
    return warm
