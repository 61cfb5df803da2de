"""What a sampler is: settings, and initialise / update / finalise with at most one network pass per update."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import DrawSettings, Prediction, Step
from ladd.errors import SamplingError
from ladd.samplers.sources import Stream


class Samples(NamedTuple):
    """Tokens int64 (B, N), and the passes that each sample needed, int64 (B,).

    A pass that all samples share is made once and counted for each. Token passes are those of the network that holds
    the token stream; latent passes those of a latent-only network.
    """

    tokens: Tensor
    token_passes: Tensor
    latent_passes: Tensor


@dataclass(frozen=True)
class State:
    """A trajectory of B samples between two steps.

    Attributes:
        tokens: int64 (B, N).
        free: bool (B, N), tokens that are drawn; the others were given.
        token_passes, latent_passes: int64 (B,), as in `Samples`.
        draws: noise by stream.
        latents: (B, L) or (B, L, w), or None.
        memory: whatever else a sampler keeps.
    """

    tokens: Tensor
    free: Tensor
    token_passes: Tensor
    latent_passes: Tensor
    draws: dict[str, StreamNoise]
    latents: Tensor | None = None
    memory: Any = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Sampler(ABC):
    """Fields are the settings of a sweep that the sampler reads, but for ``source``.

    Attributes:
        name: in params.yaml, as the ``schedule`` of a sweep.
        takes: kind of source that it draws from.
        Settings: of a sweep; a subclass of `SweepConfig` where there are more of them.
        latents_at: "shared", where latents are noisy while tokens are drawn, or "clean": where its bound is taken.
        bounded: whether the token term under it is a bound on -log p(x), where that of its system is.
        line, markers: of lines in figures.
        meaning: in one line, for readers who do not know it.
        source: what is drawn from.
        temperature: of tokens and codes, > 0.
        precision: of categorical draws, "float64" or "float32".
    """

    name: ClassVar[str]
    takes: ClassVar[type]
    Settings: ClassVar[type[SweepConfig]] = SweepConfig
    latents_at: ClassVar[str] = "clean"
    bounded: ClassVar[bool] = True
    line: ClassVar[Any] = "-"
    markers: ClassVar[str] = "oD^vPX"
    meaning: ClassVar[str] = ""

    source: Any
    temperature: float = 1.0
    precision: str = "float64"

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Names of the settings that it reads."""
        return tuple(each.name for each in fields(cls) if each.name != "source")

    @classmethod
    def of(cls, source: Any, settings: Mapping[str, Any]) -> Sampler:
        """The sampler with those of the settings that it reads."""
        return cls(source=source, **{name: settings[name] for name in cls.options()})

    @classmethod
    def check(cls, sweep: SweepConfig) -> None:
        """Settings of a sweep that this sampler does not read must be neutral.

        Raises:
            ValueError: one is not.
        """
        neutral = {"latent_steps": 0, "latent_lead": 1.0}
        for name in neutral.keys() - set(cls.options()):
            if (value := getattr(sweep, name)) != neutral[name]:
                raise ValueError(f"{name} {value}: schedule {sweep.schedule!r} needs {neutral[name]:g}")

    @property
    def draw_settings(self) -> DrawSettings:
        """How values are drawn."""
        return DrawSettings(self.temperature, self.precision, getattr(self, "eta", 0.0))

    def shortened(self, steps: int) -> Sampler:
        """The same sampler with at most so many steps of each kind, for a warm-up."""
        counts = {name: getattr(self, name) for name in self.options() if name.endswith("_steps")}
        return replace(self, **{name: min(steps, count) for name, count in counts.items()})

    @abstractmethod
    def steps(self, start: Tensor) -> Iterator[Step]:
        """The updates in their order, for starting tokens (B, N)."""

    @abstractmethod
    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        """State at t = 1 from tokens int64 (B, N), V where one is to be drawn."""

    @abstractmethod
    def update(self, state: State, step: Step) -> State:
        """The state after a step, which asks a network once or not at all; the state that is given stays as it is."""

    def finalise(self, state: State) -> Samples:
        """Samples of the last state."""
        return Samples(state.tokens, state.token_passes, state.latent_passes)


Callback = Callable[[Step, State], None]


@torch.no_grad()
def sample(sampler: Sampler, start: Tensor, noise: SampleNoise, callback: Callback | None = None) -> Samples:
    """Draw samples.

    Args:
        start: tokens int64 (B, N), V where one is to be drawn; given ones are kept.
        callback: called with every step and the state after it.
    """
    state = sampler.initialise(start, noise)
    for step in sampler.steps(start):
        state = sampler.update(state, step)
        if callback is not None:
            callback(step, state)
    return sampler.finalise(state)


def sample_in_batches(sampler: Sampler, start: Tensor, seed: int, batch: int) -> Samples:
    """Samples from starting tokens int64 (n, N), ``batch`` at a time; the noise of sample i is that of (seed, i)."""
    parts = [
        sample(sampler, start[rows], SampleNoise(seed, rows))
        for rows in torch.arange(len(start), device=start.device).split(batch)
    ]
    return Samples(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def time_grid(steps: int, device: torch.device, lag: float = 1.0) -> Iterator[Step]:
    """Steps from t = 1 to t = 0, t = u^(1/lag) for u on a uniform grid.

    A lag above 1 lets the first steps reveal few tokens, while nothing is known, and the last ones many.
    """
    times = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64, device=device) ** (1 / lag)
    for index in range(steps):
        yield Step(index, times[index], times[index + 1])


def start_state(start: Tensor, noise: SampleNoise, tokens: Stream, latents: Stream | None = None) -> State:
    """The prior at t = 1 of all streams, with the given tokens in place."""
    free = start == tokens.process.vocabulary  # type: ignore[attr-defined]
    draws = {each.name: StreamNoise(noise, each.name) for each in (tokens, latents) if each is not None}
    x = torch.where(free, tokens.process.prior(draws[tokens.name], start.shape[1]), start)
    z = None if latents is None else latents.process.prior(draws[latents.name], *latents.shape)
    none = start.new_zeros(len(start))
    return State(x, free, none, none, draws, z)


def reverse_tokens(
    sampler: Sampler, state: State, step: Step, tokens: Stream, predict: Callable[[Tensor, Tensor], Prediction]
) -> State:
    """A reverse step of the tokens alone.

    Args:
        predict: (which samples, bool (B,), their times (M,)) -> prediction.
    """
    process, draws = tokens.process, state.draws[tokens.name].at(step.index)
    wanted = process.wanted(state.tokens, step, draws) & state.free
    rows = wanted.any(dim=1)
    if not rows.any():
        return state
    prediction = predict(rows, step.t.expand(int(rows.sum())))._replace(rows=rows)
    x = process.reverse(state.tokens, wanted, prediction, step, draws, sampler.draw_settings)
    return replace(state, tokens=x, token_passes=state.token_passes + rows)


def check_unmasked(tokens: Tensor, mask_id: int, what: str) -> None:
    """Refuse samples that still hold the mask: they would be measured as if it were a token.

    Args:
        tokens: int (n, N), samples.
        mask_id: V.
        what: was sampled, for the message.
    Raises:
        SamplingError: there are some.
    """
    if count := int((tokens == mask_id).any(dim=1).sum()):
        raise SamplingError(
            f"{what}: {count} of {len(tokens)} samples still hold the mask at the end; the time grid does not reach 0: "
            "lower token_lag"
        )
