"""Left-to-right sampling of the autoregressive baseline, with a key-value cache."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.networks import CausalTransformer
from ladd.networks.transformer import KeyValueCache
from ladd.randomness import SampleNoise
from ladd.samplers.steps import Samples, SamplingOptions, draw, position_uniform


@torch.no_grad()
def sample_autoregressive(
    network: CausalTransformer, x: Tensor, noise: SampleNoise, options: SamplingOptions, *, start_id: int, mask_id: int
) -> Samples:
    """Draw the masked tokens of x int64 (B, N) from left to right; given tokens are kept.

    Each position costs one pass over one new position: N of them add up to one full pass of N positions.
    """
    x = x.clone()
    uniform = position_uniform(noise, "token", x)
    previous = x.new_full((len(x), 1), start_id)
    cache = KeyValueCache()
    for i in range(x.shape[1]):
        hidden = network(previous, cache, start=i)[:, 0]
        drawn = draw(network.token_head, hidden, uniform[:, i], options)
        x[:, i] = torch.where(x[:, i] == mask_id, drawn, x[:, i])
        previous = x[:, i : i + 1]
    passes = torch.full_like(x[:, 0], x.shape[1])
    return Samples(x, passes, torch.zeros_like(passes))
