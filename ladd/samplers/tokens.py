"""Token samplers: rules of which tokens change in a step, whoever makes the network pass (docs/samplers.md).

A rule is the same for tokens alone, for tokens given latents that were drawn before, and for tokens that are drawn
along with latents. So a token sampler does not ask the network: it says where it needs a prediction, and what becomes
of the tokens given one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, create_model
from torch import Tensor

from ladd.config.blocks import Block, Rate
from ladd.config.evaluation import SweepConfig
from ladd.diffusion.masked import MaskedProcess, fill
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Prediction, Process, Step
from ladd.errors import SamplingError
from ladd.samplers.base import Sampler, State, start_state, time_grid
from ladd.samplers.drawing import Score, Truncation, draw_scored
from ladd.samplers.sources import TokenSource

Ask = Callable[[Tensor, Tensor], Prediction]  # samples bool (B,), their times (M,) -> prediction of their tokens


class TokenOptions(Block):
    """Settings that a token sampler has besides those of every sweep.

    Validators of subclasses need names of their own: `_check` is that of the sweep.
    """

    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0  # see `Truncation`; 1 keeps all tokens
    min_p: Rate = 0.0  # 0 keeps all tokens


@dataclass(frozen=True, kw_only=True)
class TokenSampler(Sampler):
    """Subclasses write `wanted` and `move`.

    Attributes:
        Options: settings of its own; `Settings` of a sweep, and `Nested` where it is one part of a sampler, follow.
        processes: that it can undo.
        remasks: whether it takes tokens back, so that a complete sample is not finished.
        on_grid: whether all samples are at the same time, which latents that are drawn along need.
        token_steps: K, the most passes.
        token_lag: bends the grid, see `time_grid`; at least 1.
        top_p, min_p: see `Truncation`.
    """

    takes: ClassVar[type] = TokenSource
    Options: ClassVar[type[TokenOptions]] = TokenOptions
    Nested: ClassVar[type[TokenOptions]]
    processes: ClassVar[tuple[type[Process], ...]] = (MaskedProcess,)
    remasks: ClassVar[bool] = False
    on_grid: ClassVar[bool] = True

    source: TokenSource
    token_steps: int
    token_lag: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            bases: Any = (SweepConfig, cls.Options)
            cls.Settings = create_model("Settings", __base__=bases)
            named: Any = (Literal[cls.name], ...)
            cls.Nested = create_model("Nested", __base__=cls.Options, schedule=named)

    def __post_init__(self) -> None:
        if not isinstance(self.process, self.processes):
            fitting = " or ".join(each.__name__ for each in self.processes)
            raise SamplingError(
                f"schedule: {self.name!r} needs a {fitting}, and the tokens of this model have a "
                f"{type(self.process).__name__}; take 'ancestral' for it"
            )

    @classmethod
    def check(cls, sweep: SweepConfig) -> None:
        super().check(sweep)
        cls.check_grid(sweep)

    @classmethod
    def check_grid(cls, sweep: SweepConfig) -> None:
        """A sampler without a time grid has none to bend.

        Raises:
            ValueError: the sweep does.
        """
        if not cls.on_grid and sweep.token_lag != 1:
            raise ValueError(f"token_lag {sweep.token_lag}: {cls.name!r} has no time grid to bend, it needs 1")

    @property
    def process(self) -> Any:
        """Of the tokens."""
        return self.source.tokens.process

    @property
    def truncation(self) -> Truncation:
        """Of the predictions."""
        return Truncation(self.top_p, self.min_p)

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(self.token_steps, start.device, self.token_lag)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        state = start_state(start, noise, self.source.tokens)
        return replace(state, memory=self.begin(state))

    def begin(self, state: State) -> Any:
        """What it keeps from step to step, of the state at t = 1."""
        return None

    @abstractmethod
    def wanted(self, state: State, step: Step) -> Tensor:
        """Positions, bool (B, N), at which the step needs a prediction; a sample without one needs no pass."""

    def times(self, state: State, step: Step, wanted: Tensor) -> Tensor:
        """Times (B,) that the network is told."""
        return step.t.expand(len(wanted))

    @abstractmethod
    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        """The state after a step, but for its count of passes.

        Args:
            prediction: of all samples with a wanted position, and perhaps of others; None where there are none.
        """

    def update(self, state: State, step: Step) -> State:
        return self.advance(state, step, lambda rows, t: self.source.predict(state.tokens[rows], t))

    def advance(self, state: State, step: Step, ask: Ask) -> State:
        """The state after a step whose pass is made by ``ask``, and charged to the samples that need it."""
        wanted = self.wanted(state, step)
        rows = wanted.any(dim=1)
        prediction = None
        if rows.any():
            prediction = ask(rows, self.times(state, step, wanted)[rows])._replace(rows=rows)
        after = self.move(state, step, wanted, prediction)
        return replace(after, token_passes=state.token_passes + rows)

    def finished(self, state: State) -> Tensor:
        """Samples, bool (B,), that no later step changes."""
        if self.remasks:
            return torch.zeros_like(state.free[:, 0])
        return self.process.finished(state.tokens)

    def draws(self, state: State, step: Step) -> StreamNoise:
        """Of the tokens at a step."""
        return state.draws[self.source.tokens.name].at(step.index)

    def masked(self, state: State) -> Tensor:
        """Positions, bool (B, N), that are masked; all of them are free."""
        return state.tokens == self.process.mask_id

    def alphas(self, step: Step) -> tuple[Tensor, Tensor]:
        """alpha(t) and alpha(s); at s = 0 all is clean, also where alpha(0) falls short of 1."""
        alpha = self.process.schedule.alpha
        return alpha(step.t), torch.where(step.s <= 0, torch.ones_like(step.s), alpha(step.s))

    def time_of(self, alpha: Tensor) -> Tensor:
        """The time, float64, at which the schedule, which falls, has a value; bit by bit."""
        time = torch.zeros_like(alpha)
        for bit in range(1, 53):
            later = time + 2.0**-bit
            time = torch.where(self.process.schedule.alpha(later) > alpha, later, time)
        return torch.where(alpha <= self.process.schedule.alpha(torch.ones_like(alpha)), torch.ones_like(time), time)

    def filled(self, state: State, where: Tensor, prediction: Prediction | None, uniform: Tensor) -> Tensor:
        """Tokens (B, N) with draws at some positions."""
        if prediction is None:
            return state.tokens
        if not self.truncation.active:  # without the copies that scores need
            return fill(state.tokens, where, prediction, uniform, self.draw_settings)
        return state.tokens.masked_scatter(where, self.scored(state, where, prediction, uniform).tokens)

    def scored(
        self,
        state: State,
        where: Tensor,
        prediction: Prediction,
        uniform: Tensor,
        score: Score | None = None,
        **options: Any,
    ) -> Any:
        """Draws at some positions, and their scores; see `draw_scored`."""
        arguments = prediction, where, state.tokens, uniform, self.draw_settings
        return draw_scored(*arguments, truncation=self.truncation, score=score, **options)


def placed(where: Tensor, values: Tensor, otherwise: float) -> Tensor:
    """Values (M,) at the positions where (B, N), and another elsewhere."""
    return torch.full(where.shape, otherwise, dtype=values.dtype, device=values.device).masked_scatter(where, values)
