"""Small models of systems that have a test module of their own, and laws whose answers are known."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from ladd.config import LatentShape
from ladd.config.models import SystemConfig
from ladd.evaluation.bounds import BoundSettings
from ladd.evaluation.estimate import estimate
from ladd.samplers.base import Samples, sample
from ladd.systems.base import Surroundings, System
from tests.builders import network, training
from tests.samplers.known_answers import NEUTRAL, all_masked, noise


def made(
    family: str, tokens: int = 4, vocabulary: int = 2, shape: LatentShape | None = None, learned: Any = None, **changes
) -> System:
    """A system with tiny networks."""
    values = {"family": family, "data": "toy", "network": network(gate=1.0), "training": training()} | changes
    settings = TypeAdapter(SystemConfig).validate_python(values)
    return settings.system(settings, Surroundings(vocabulary, tokens, shape, learned))


def drawn(system: System, model: Any, count: int, name: str = "none", **settings) -> Samples:
    """Samples of a model, all tokens drawn, by one of its samplers."""
    kind = system.samplers(system.settings)[name]
    sampler = kind.of(system.source_of(model), NEUTRAL | settings)
    return sample(sampler, all_masked(count, system.tokens, system.vocabulary), noise(count))


def bound_settings(time_draws: int = 16, batch: int = 64, seed: int = 0) -> BoundSettings:
    return BoundSettings(time_draws, batch, seed)


def agree(values: Tensor, exact: Tensor, precision: float) -> None:
    """Paired values agree within 4 standard errors, which are themselves small."""
    difference = estimate((values - exact).double())
    assert difference.stderr < precision
    assert abs(difference.value) < 4 * difference.stderr


def train(system: System, model: Any, x: Tensor, steps: int, rate: float = 0.01, batch: int = 64) -> Any:
    """The model after some steps of Adam on random rows of x int64 (n, N)."""
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], rate)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for step in range(steps):
        rows = torch.randint(len(x), (batch,), generator=generator)
        loss = system.losses(model, x[rows], None, noise(batch, seed=step), step)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def indicator(tokens: int = 4) -> Tensor:
    """The two sequences that are all 0 or all 1, int64 (2, N): drawn independently, tokens seldom agree."""
    return torch.arange(2)[:, None].expand(2, tokens)
