"""The bound of K steps on a grid: what the grid costs in nats, for models of masked tokens and of masked codes.

A step t -> s reveals a masked position with probability r(t, s) = (alpha_s - alpha_t) / (1 - alpha_t), whatever is
there, so the negative ELBO of the K steps is, with -log p summed over the positions that are masked in x_t,

    L_K = sum over steps of r(t, s) E[ sum over masked i of -log p(x_i | x_t) ]

(Sohl-Dickstein et al., 2015, for the masked process). It is at least the bound of infinitely many steps, and what it is
above that is what steps lose by drawing tokens independently. Codes add the same sum over their own steps. Masks at
different times, on all grids, come from the same draws: of two grids the difference is what counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction, Step
from ladd.diffusion.times import TimeDraw
from ladd.errors import ConfigError
from ladd.samplers.base import time_grid
from ladd.samplers.sources import PairSource, Stream, TokenSource


class Grid(NamedTuple):
    """Where steps go: t_x = u^(1 / token_lag), u on a uniform grid; t_z = t_x^latent_lead of latents that go along."""

    token_lag: float = 1.0
    latent_lead: float = 1.0


class GridBound:
    """L_K of some sequences on any grid.

    Args:
        source: of a trained model, of tokens, or of tokens and latents.
        x: int64 (n, N), clean.
        latents: clean ones, codes int64 (n, L) or vectors (n, L, w); None where the source has none.
        token_steps: K.
        along: whether latents go along with tokens; else they come first, and tokens are given clean ones.
        latent_steps: of codes that come first.
        seed, draws: of masks, per sequence.
        batch: sequences at a time.
    Raises:
        ConfigError: the process is not masked, or latents that go along are continuous and have no likelihood.
    """

    def __init__(
        self,
        source: Any,
        x: Tensor,
        latents: Tensor | None,
        *,
        token_steps: int,
        along: bool,
        latent_steps: int = 0,
        seed: int = 0,
        draws: int = 1,
        batch: int = 512,
    ):
        self.source, self.x, self.latents, self.seed, self.draws = source, x, latents, seed, draws
        self.token_steps, self.along, self.latent_steps, self.batch = token_steps, along, latent_steps, batch
        if not isinstance(source, TokenSource | PairSource) or not isinstance(source.tokens.process, MaskedProcess):
            raise ConfigError("search: the bound of K steps is that of masked tokens; this model has none")
        self.codes = isinstance(source, PairSource) and isinstance(source.latents.process, MaskedProcess)
        if along and not self.codes:
            raise ConfigError(
                "search: continuous latents that go along with tokens have no likelihood, so no bound says which grid "
                "is better; search a sweep of codes, or one whose latents come first"
            )

    @torch.no_grad()
    def __call__(self, grid: Grid) -> Tensor:
        """L_K, float64 (n,), nats per token. Of continuous latents that come first, the tokens' term given them."""
        parts = []
        for rows in torch.arange(len(self.x), device=self.x.device).split(self.batch):
            z = None if self.latents is None else self.latents[rows]
            noise = SampleNoise(self.seed, rows)
            values = [self._of_rows(self.x[rows], z, noise, grid, draw) for draw in range(self.draws)]
            parts.append(torch.stack(values).mean(dim=0) / self.x.shape[1])
        return torch.cat(parts)

    def _of_rows(self, x: Tensor, z: Tensor | None, noise: SampleNoise, grid: Grid, draw: int) -> Tensor:
        tokens, total = self.source.tokens, x.new_zeros(len(x), dtype=torch.float64)
        for step in time_grid(self.token_steps, x.device, grid.token_lag):
            x_t = _noised(tokens, x, step, noise, draw)
            if not self.along:
                said = self._ask(x_t.state, z, step.t, torch.zeros_like(step.t))[0]
                total += _term(tokens, said, x, x_t, step)
                continue
            assert z is not None
            latent_step = Step(step.index, step.t**grid.latent_lead, step.s**grid.latent_lead)
            z_t = _noised(self.source.latents, z, latent_step, noise, draw)
            said, of_codes = self._ask(x_t.state, z_t.state, step.t, latent_step.t)
            total += _term(tokens, said, x, x_t, step) + _term(self.source.latents, of_codes, z, z_t, latent_step)
        return total + self._codes_first(x, z, noise, draw) if self.codes and not self.along else total

    def _codes_first(self, x: Tensor, z: Tensor | None, noise: SampleNoise, draw: int) -> Tensor:
        """The term of codes that are drawn while all tokens are masked; it does not depend on the tokens' grid."""
        assert z is not None
        masked = torch.full_like(x, self.source.tokens.process.mask_id)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for step in time_grid(self.latent_steps, x.device):
            z_t = _noised(self.source.latents, z, step, noise, draw)
            said = self._ask(masked, z_t.state, torch.ones_like(step.t), step.t)[1]
            total += _term(self.source.latents, said, z, z_t, step)
        return total

    def _ask(self, x: Tensor, z: Tensor | None, t_x: Tensor, t_z: Tensor) -> tuple[Prediction, Any]:
        t_x, t_z = t_x.expand(len(x)), t_z.expand(len(x))
        return (self.source.predict(x, t_x), None) if z is None else self.source.predict(x, z, t_x, t_z)


def _noised(stream: Stream, clean: Tensor, step: Step, noise: SampleNoise, draw: int) -> Noised:
    """A state at t, whose masks at all times are made of the same draws."""
    return stream.process.corrupt(clean, step.t.expand(len(clean)), StreamNoise(noise, stream.name, draw))


def _term(stream: Stream, said: Prediction, clean: Tensor, noised: Noised, step: Step) -> Tensor:
    """What a step adds to L_K, float64 (B,), nats per sequence."""
    process: Any = stream.process
    times = TimeDraw(step.t.expand(len(clean)), process.reveal_probability(step.t, step.s).expand(len(clean)))
    hidden = said.hidden.expand(len(clean), *said.hidden.shape[1:])
    return process.loss(said._replace(hidden=hidden), clean, noised, times, "constant").double()  # type: ignore[no-any-return]


def grids(lags: list[float], leads: list[float]) -> Iterator[Grid]:
    """All pairs."""
    return (Grid(lag, lead) for lag in lags for lead in leads)
