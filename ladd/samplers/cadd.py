"""Sampler of CADD (Zheng et al., 2026, arXiv 2510.01329): masked positions carry a vector that is denoised along.

In a step t -> s a masked position is revealed with the probability of the masked process, and takes a draw of the
token prediction. One that stays masked moves its vector z by the exact bridge of the Gaussian process towards a plug-in
of the prediction: the table's row of the likeliest token ("hard"), or the mean of the rows ("soft").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State, start_state, time_grid
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import Stream

PlugIn = Literal["hard", "soft"]


@dataclass(frozen=True)
class CaddSource:
    """Tokens, and a vector at each masked one.

    Attributes:
        tokens: their stream; the process is masked.
        latents: of the vectors (N, d); the process is Gaussian.
        table: (V, d), the clean vector of each token.
        predict: (x int64 (M, N), z (M, N, d), t (M,)) -> prediction of the clean tokens.
    """

    tokens: Stream
    latents: Stream
    table: Tensor
    predict: Callable[[Tensor, Tensor, Tensor], Prediction]


class CaddSweep(SweepConfig):
    """A sweep with the settings of the sampler."""

    plug_in: PlugIn = "hard"  # row of the likeliest token, or mean of the rows


def plugged_in(logits: Tensor, table: Tensor, rule: str) -> Tensor:
    """The clean vectors (..., d) that logits (..., V) stand for under a table (V, d)."""
    if rule == "hard":
        return table[logits.argmax(dim=-1)]
    return torch.softmax(logits.double(), dim=-1).to(table.dtype) @ table


@dataclass(frozen=True, kw_only=True)
class Cadd(DefaultSampler):
    """Reverse steps of tokens and of the vectors at masked positions, from one pass.

    Every sample with a masked position needs the pass, whether or not the step reveals one: its vectors move.

    Attributes:
        token_steps: K.
        token_lag: bends the grid, see `time_grid`; at least 1.
        plug_in: "hard" or "soft".
    """

    name: ClassVar[str] = "cadd"
    meaning: ClassVar[str] = "masked positions carry a vector that moves towards the predicted token"
    takes: ClassVar[type] = CaddSource
    Settings: ClassVar[type[SweepConfig]] = CaddSweep

    source: CaddSource
    token_steps: int
    token_lag: float = 1.0
    plug_in: str = "hard"

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(self.token_steps, start.device, self.token_lag)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        return start_state(start, noise, self.source.tokens, self.source.latents)

    def update(self, state: State, step: Step) -> State:
        tokens, x, z = self.source.tokens, state.tokens, state.latents
        assert z is not None
        draws = state.draws[tokens.name].at(step.index)
        rows = ~tokens.process.finished(x)
        if not rows.any():
            return state
        prediction = self.source.predict(x[rows], z[rows], step.t.expand(int(rows.sum())))._replace(rows=rows)
        wanted = tokens.process.wanted(x, step, draws) & state.free
        after = x
        if wanted.any():
            after = tokens.process.reverse(x, wanted, prediction, step, draws, self.draw_settings)
        z = self._moved(state, z, (after == tokens.process.mask_id), prediction, step)  # type: ignore[attr-defined]
        return replace(state, tokens=after, latents=z, token_passes=state.token_passes + rows)

    def _moved(self, state: State, z: Tensor, masked: Tensor, prediction: Prediction, step: Step) -> Tensor:
        """Vectors (B, N, d) after a step, changed where a position stays masked (bool (B, N))."""
        if not masked.any():
            return z
        latents, of_rows = self.source.latents, masked[prediction.rows]
        hidden = prediction.hidden.expand(len(of_rows), *prediction.hidden.shape[1:])[of_rows]
        clean = plugged_in(prediction.head(hidden) / self.temperature, self.source.table, self.plug_in)
        drawn = state.draws[latents.name].at(step.index).normal("", *z.shape[1:])[masked]
        moved = z.clone()
        moved[masked] = latents.process.ddim(z[masked], clean, step, drawn, eta=1.0)  # type: ignore[attr-defined]
        return moved
