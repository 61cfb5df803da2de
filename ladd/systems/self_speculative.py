"""Self-speculative masked diffusion (Campbell et al., 2026, arXiv 2510.03929).

All blocks but the last are those of MDLM, and give the draft. The last is causal along a random order of the positions:
that of place d sees the hidden state at its position, the token at the place before, and the same of earlier places.
Its output is added to the hidden state, and gives the target: an any-order autoregressive model.

The paper does not give the wiring of the causal stream in full. Ours: a token enters by an embedding of its own; in
RoPE half of the pairs turn by the position that was drawn last and half by the one that is drawn; a linear map that
starts at zero adds the output, so that an untrained target is the draft.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from ladd.config.evaluation import SweepConfig
from ladd.config.models import SystemSettings
from ladd.diffusion.heads import weighted_cross_entropy
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import low_discrepancy_times
from ladd.evaluation.bounds import BoundSettings, average_draws
from ladd.networks.transformer import Block, FinalNorm, Transformer, zero_linear
from ladd.samplers.self_speculative import SpeculativeSource, along
from ladd.samplers.sources import Stream, share_equal_rows
from ladd.systems.base import Passes, SampleCost, Surroundings, Values, backbone_macs
from ladd.systems.own_sampler import SystemWithSampler


class SelfSpeculativeSettings(SystemSettings):
    """A model whose last layer is causal."""

    family: Literal["self-speculative"]
    token_channel: None = None  # the number of masks is drawn uniformly, and the network is not told it

    @model_validator(mode="after")
    def _check(self) -> SelfSpeculativeSettings:
        if self.network.layers < 2:
            raise ValueError(f"network.layers {self.network.layers}: one is causal and others are not, write 2 or more")
        return self


class SelfSpeculativeNetwork(nn.Module):
    """Bidirectional blocks and a causal one.

    Args:
        vocabulary: V; the mask and the start symbol are V.
        network: arguments of `Transformer`, with the causal block among its layers.
    """

    def __init__(self, vocabulary: int, **network: Any):
        super().__init__()
        width, self.condition = network["width"], network["condition"]
        self.embedding = nn.Embedding(vocabulary + 1, width)
        self.transformer = Transformer(1, **network | {"layers": network["layers"] - 1})
        self.previous = nn.Embedding(vocabulary + 1, width)
        heads, dropout, gate = network["heads"], network["dropout"], network.get("gate", 0.0)
        self.block = Block(1, width, heads, self.condition, dropout, gate, causal=True)
        self.norm = FinalNorm(width, self.condition)
        self.output = zero_linear(width, width)
        self.token_head = nn.Linear(width, vocabulary)

    def forward(self, x: Tensor) -> Tensor:
        """Hidden states (B, N, d) of the draft, by position, from x int64 (B, N)."""
        positions = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)
        return self.transformer([self.embedding(x)], [self._unconditioned(x)], [positions])[0]

    def verify(self, hidden: Tensor, x: Tensor, order: Tensor) -> Tensor:
        """Hidden states (B, N, d) of the target along the order int64 (B, N), given those of the draft."""
        drawn = F.pad(x.gather(1, order)[:, :-1], (1, 0), value=self.embedding.num_embeddings - 1)
        states = along(hidden, order)
        condition = self._unconditioned(x)
        rotary = self._rotary(F.pad(order[:, :-1], (1, 0), value=0), order)
        (out,) = self.block([states + self.previous(drawn)], [condition], [rotary])
        return states + self.output(self.norm(out, condition))

    def _unconditioned(self, x: Tensor) -> Tensor:
        return self.embedding.weight.new_zeros(1, self.condition)

    def _rotary(self, last: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (B, 1, N, D): half of the pairs by one position, half by the other."""
        width = self.transformer.head_width
        rates = self.transformer.rope_base ** (-torch.arange(0, width, 2, device=own.device) / width)
        by_own = torch.arange(len(rates), device=own.device) % 2 == 0
        angles = torch.where(by_own, own[..., None], last[..., None])[:, None] * rates
        return torch.cat([angles.cos()] * 2, dim=-1), torch.cat([-angles.sin(), angles.sin()], dim=-1)


class SelfSpeculative(SystemWithSampler):
    """MDLM whose last block turns its predictions into an any-order autoregressive model."""

    name = "self-speculative"
    Settings = SelfSpeculativeSettings
    label, colour, place = "Self-speculative", "#6699CC", 36
    meaning = "masked diffusion that drafts tokens at once and verifies them one after another"
    citation = """
@inproceedings{campbell2026selfspeculative,
  title = {Self-Speculative Masked Diffusions},
  author = {Campbell, Andrew and others},
  booktitle = {International Conference on Learning Representations},
  year = {2026},
  note = {arXiv:2510.03929},
}
"""
    source: ClassVar[type] = SpeculativeSource
    unread = ("eta",)

    def __init__(self, settings: Any, around: Surroundings):
        super().__init__(settings, around)
        self.process = MaskedProcess(DISCRETE_SCHEDULES["linear"], self.vocabulary)

    def build(self) -> SelfSpeculativeNetwork:
        return SelfSpeculativeNetwork(self.vocabulary, **self.settings.network.model_dump())

    def losses(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise, step: int) -> Values:
        """N / (N - i) times the cross-entropies of draft and target over the places after i, i uniform in 0..N-1."""
        length = x.shape[1]
        times = low_discrepancy_times(noise.whole.uniform("t_x", step, 1)[:, 0]).select(noise.rows)
        known = (times.t * length).long().clamp(max=length - 1)
        order = drawn_order(noise, step, length)
        places = torch.arange(length, device=x.device).expand_as(order)
        hidden_places = places >= known[:, None]
        masked = torch.zeros_like(hidden_places).scatter(1, order, hidden_places)
        draft = model(torch.where(masked, self.process.mask_id, x))
        target = model.verify(draft, x, order)
        weight = (length / (length - known).double())[:, None].expand_as(order)[hidden_places]
        tokens = x.gather(1, order)[hidden_places]
        parts = {
            name: weighted_cross_entropy(states[hidden_places], model.token_head, tokens, weight).sum() / x.numel()
            for name, states in (("draft", along(draft, order)), ("target", target))
        }
        return {"loss": parts["draft"] + parts["target"], **parts}

    def validation_bound(self, model: Any, x: Tensor, latents: Tensor | None, noise: SampleNoise) -> Tensor:
        return self._any_order(model, x, noise, 0).mean() / self.tokens

    def _any_order(self, model: Any, x: Tensor, noise: SampleNoise, draw: int) -> Tensor:
        """-log p(x | order) (B,) of the target where all tokens are one window, at a random order."""
        order = drawn_order(noise, draw, x.shape[1])
        target = model.verify(model(torch.full_like(x, self.process.mask_id)), x, order).flatten(0, 1)
        nll = weighted_cross_entropy(
            target, model.token_head, x.gather(1, order).flatten(), target.new_ones(len(target))
        )
        return nll.view_as(x).sum(dim=1)

    @torch.no_grad()
    def bounds(
        self, model: Any, x: Tensor, settings: BoundSettings, sweep: SweepConfig, *, token_only: bool = False
    ) -> Values:
        """token_elbo bounds -log p(x) of one window with as many rounds as it takes (K = 1).

        The training loss of the target is no bound: its weights are right for the draft, whose places are alike.
        """
        return {
            "token_elbo": average_draws(
                x, settings, lambda rows, noise, draw: self._any_order(model, x[rows], noise, draw)
            )
        }

    def source_of(self, model: SelfSpeculativeNetwork, *, share_rows: bool = True) -> SpeculativeSource:
        stream = Stream(self.process, "token", (self.tokens,))
        return SpeculativeSource(stream, share_equal_rows(model, share_rows), model.verify, model.token_head)

    def nominal_passes(self, token_steps: int, latent_steps: int) -> Passes:
        """One of each kind for every window, as if all were accepted."""
        return Passes(token_steps, token_steps)

    def cost(self, passes: Passes) -> SampleCost:
        """Passes of the causal block, here the latent passes, are charged, though the paper's NFE leaves them out.

        Heads run over a window; charged as if it were the whole sequence.
        """
        network = self.settings.network
        macs = passes.token_passes * backbone_macs(self.tokens, network.width, network.layers - 1)
        macs += passes.latent_passes * backbone_macs(self.tokens, network.width, 1)
        return SampleCost.of(passes.token_passes, macs, sum(passes) * self.tokens * network.width * self.vocabulary)


def drawn_order(noise: SampleNoise, step: int, length: int) -> Tensor:
    """A random order of the positions of each sequence, int64 (B, N)."""
    return StreamNoise(noise, "order", step).uniform("", length).argsort(dim=1)
