"""A token denoiser whose perceptrons are chosen: every token passes one of E experts in every block.

Shapes: B batch, N positions, D blocks, E experts, d hidden width, C conditioning width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ladd.networks.transformer import FinalNorm, Stream, TimeEmbedding, modulate, rotary_embedding


class Route(NamedTuple):
    """The experts of the tokens in one block.

    Attributes:
        experts: int64 (B, N, 1 or 2), the likelier first; it alone is passed.
        weights: of the same shape, 1 and 0 in value; with the gradients of the relaxed choice between the two.
    """

    experts: Tensor
    weights: Tensor


class Routed(NamedTuple):
    """What a pass gives: hidden states (B, N, d), and of every block the logits (B, N, E) of its experts and routes."""

    hidden: Tensor
    logits: list[Tensor]
    routes: list[Route]


def choose(logits: Tensor, uniform: Tensor, temperature: float = 1.0) -> Route:
    """Draw experts, exactly, with gradients by the straight-through Gumbel-softmax of the two largest.

    Args:
        logits: (B or 1, N, E).
        uniform: (B, N, E) draws in (0, 1).
        temperature: of the relaxed choice; the draws do not depend on it.
    """
    perturbed = logits - torch.log(-torch.log(uniform)).to(logits.dtype)
    largest = perturbed.topk(min(2, perturbed.shape[-1]), dim=-1)
    relaxed = torch.softmax(largest.values / temperature, dim=-1)
    drawn = torch.zeros_like(relaxed)
    drawn[..., 0] = 1
    return Route(largest.indices, drawn + (relaxed - relaxed.detach()))


class RoutedStream(Stream):
    """The stream of a block, with a router and E perceptrons in the place of one. Routers start at zero: all experts
    are equally likely."""

    def __init__(self, width: int, heads: int, condition: int, dropout: float, gate: float, experts: int):
        super().__init__(width, heads, condition, dropout, gate)
        first = self.mlp
        del self.mlp
        others = (
            nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
            for _ in range(experts - 1)
        )
        self.experts = nn.ModuleList([first, *others])
        self.router = nn.Parameter(torch.zeros(experts, width))

    def matrices(self) -> list[nn.Linear]:
        """Layers that multiply hidden states."""
        found = (layer for expert in self.experts for layer in expert.children())
        return [self.qkv, self.output, *(layer for layer in found if isinstance(layer, nn.Linear))]

    def pass_experts(self, h: Tensor, route: Route) -> Tensor:
        """Outputs (B, N, d) for inputs h (B or 1, N, d)."""
        h = h.expand(len(route.experts), -1, -1)
        out = route.weights[..., :1] * self._of(h, route.experts[..., 0])
        if route.weights.requires_grad and route.experts.shape[-1] > 1:
            with torch.no_grad():  # its weight is 0: only the router learns from it
                second = self._of(h, route.experts[..., 1])
            out = out + route.weights[..., 1:] * second
        return out

    def _of(self, h: Tensor, chosen: Tensor) -> Tensor:
        rows, order = h.flatten(0, 1), chosen.flatten().argsort(stable=True)
        counts = torch.bincount(chosen.flatten(), minlength=len(self.experts)).tolist()
        parts = zip(self.experts, rows[order].split(counts), strict=True)
        return torch.cat([expert(part) for expert, part in parts])[order.argsort()].view_as(h)


class RoutedBlock(nn.Module):
    """Attention of all to all, and then one expert for every token."""

    def __init__(self, width: int, heads: int, condition: int, dropout: float, gate: float, experts: int):
        super().__init__()
        self.stream = RoutedStream(width, heads, condition, dropout, gate, experts)

    def forward(
        self, h: Tensor, condition: Tensor, rotary: tuple[Tensor, Tensor], pick: Callable[[Tensor], Route]
    ) -> tuple[Tensor, Tensor, Route]:
        """Hidden states (B, N, d), logits of the experts and the route that ``pick`` makes of them."""
        stream = self.stream
        modulation = stream.modulation(F.silu(condition))[:, None].chunk(6, dim=-1)
        attended = F.scaled_dot_product_attention(*stream.project(h, modulation, rotary)).transpose(1, 2).flatten(2)
        _, _, attention_gate, shift, scale, mlp_gate = modulation
        h = torch.addcmul(h, attention_gate, stream.dropout(stream.output(attended)))
        inner = modulate(F.layer_norm(h, (stream.width,)), shift, scale)
        logits = F.linear(inner, stream.router)
        route = pick(logits)
        out = stream.dropout(stream.pass_experts(inner, route))
        return torch.addcmul(h, mlp_gate, out), logits, route


class RoutedDiT(nn.Module):
    """Bidirectional transformer over tokens, with experts. With one of them it is `ladd.networks.DiT`.

    Args:
        vocabulary: V, the mask excluded; the mask id is V.
        experts: E.
        timed: whether the network is told t.
        network: arguments of `Transformer`.
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        experts: int,
        timed: bool = False,
        width: int,
        layers: int,
        heads: int,
        condition: int,
        dropout: float,
        gate: float = 0.0,
        rope_base: float = 1e4,
    ):
        super().__init__()
        self.condition, self.head_width, self.rope_base = condition, width // heads, rope_base
        self.embedding = nn.Embedding(vocabulary + 1, width)
        self.time = TimeEmbedding(condition) if timed else None
        self.blocks = nn.ModuleList(RoutedBlock(width, heads, condition, dropout, gate, experts) for _ in range(layers))
        self.norm = FinalNorm(width, condition)
        self.token_head: nn.Module = nn.Linear(width, vocabulary)

    def forward(self, x: Tensor, t: Tensor, choices: Tensor | list[Route], temperature: float = 1.0) -> Routed:
        """A pass.

        Args:
            x: int64 (B, N), tokens, V where masked; (1, N) where all samples share them.
            t: (B,) or (1,), times.
            choices: draws (B, D, N, E) in (0, 1) that the routes follow from; or the routes themselves.
            temperature: of the relaxed choice, see `choose`.
        """
        h = self.embedding(x)
        condition = self.time(t) if self.time else h.new_zeros(1, self.condition)
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        rotary = rotary_embedding(positions, self.head_width, self.rope_base)
        logits, routes = [], []
        for index, block in enumerate(self.blocks):
            if isinstance(choices, list):
                pick: Callable[[Tensor], Route] = partial(_given, choices[index])
            else:
                pick = partial(choose, uniform=choices[:, index], temperature=temperature)
            h, of_block, route = block(h, condition, rotary, pick)
            logits.append(of_block)
            routes.append(route)
        return Routed(self.norm(h, condition), logits, routes)


def _given(route: Route, logits: Tensor) -> Route:
    return route
