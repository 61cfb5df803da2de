"""Small cases of all token samplers, and laws that are enumerated by brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Process, Step
from ladd.diffusion.schedules import DISCRETE_SCHEDULES, DiscreteSchedule
from ladd.diffusion.uniform import UniformProcess
from ladd.registry import discover
from ladd.samplers.base import Sampler, Samples, sample
from ladd.samplers.tokens import TokenSampler
from tests.builders import TableDenoiser
from tests.samplers.known_answers import LINEAR, NEUTRAL, Law, every_sequence, token_source

# Every token sampler, with settings under which it does what it is there for; some in several ways.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "surest-first": ("surest-first", {}),
    "surest-first-margin": ("surest-first", {"by": "margin", "spread": 0.5}),
    "surest-first-entropy": ("surest-first", {"by": "entropy", "top_p": 0.8}),
    "ancestral-truncated": ("ancestral-truncated", {"top_p": 0.7, "min_p": 0.1}),
    "entropy-bounded": ("entropy-bounded", {"gamma": 0.8}),
    "first-hitting": ("first-hitting", {}),
    "flow-corrector": ("flow-corrector", {"strength": 2.0}),
    "forward-backward": ("forward-backward", {}),
    "informed-corrector": ("informed-corrector", {"redraw": 2}),
    "loo-gibbs": ("loo-gibbs", {"redraw": 2}),
    "path-planning": ("path-planning", {"remask": 1.5}),
    "path-planning-random": ("path-planning", {"remask": 0.0, "by": "random"}),
    "psi": ("psi", {"kappa": 0.5}),
    "psi-uniform": ("psi", {"kappa": 0.5}),
    "remdm-cap": ("remdm-cap", {"remask": 0.3}),
    "remdm-conf": ("remdm-conf", {}),
    "remdm-loop": ("remdm-loop", {"remask": 0.1}),
    "remdm-rescale": ("remdm-rescale", {"remask": 0.3}),
    "semi-autoregressive": ("semi-autoregressive", {"block": 2}),
}
UNIFORM = {"loo-gibbs", "psi-uniform"}


def kinds() -> dict[str, type[TokenSampler]]:
    """All token samplers of the package."""
    found = discover("ladd.samplers", Sampler)
    return {name: kind for name, kind in found.items() if issubclass(kind, TokenSampler)}


def process_of(case: str, vocabulary: int, schedule: DiscreteSchedule = LINEAR) -> Process:
    return (UniformProcess if case in UNIFORM else MaskedProcess)(schedule, vocabulary)


def make(
    case: str,
    denoiser: nn.Module,
    vocabulary: int,
    *,
    schedule: str = "linear",
    share_rows: bool = True,
    **settings: Any,
) -> TokenSampler:
    """The sampler of a case; what is not given is the default of its settings."""
    name, own = CASES[case]
    kind = kinds()[name]
    defaults = {key: field.get_default(call_default_factory=True) for key, field in kind.Options.model_fields.items()}
    source = token_source(denoiser, process_of(case, vocabulary, DISCRETE_SCHEDULES[schedule]), share_rows=share_rows)
    return kind.of(source, NEUTRAL | defaults | own | settings)


def run(case: str, denoiser: nn.Module, x: Tensor, noise: SampleNoise, vocabulary: int, **settings: Any) -> Samples:
    return sample(make(case, denoiser, vocabulary, **settings), x, noise)


def soft_tables(tokens: int, vocabulary: int, scale: float = 0.4) -> TableDenoiser:
    """Of no law: what it says depends on the order in which it is asked; no probability is tiny."""
    denoiser = TableDenoiser(tokens, vocabulary)
    denoiser.table *= scale
    return denoiser


class Hollow(nn.Module):
    """The exact law of each token given all others that are visible, its own not looked at."""

    def __init__(self, law: Law):
        super().__init__()
        self.law, self.token_head = law, nn.Identity()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        codes = torch.full((len(x), self.law.codes.shape[1]), self.law.codebook)
        without = [x.clone() for _ in range(x.shape[1])]
        for position, each in enumerate(without):
            each[:, position] = self.law.vocabulary
        own = [self.law.given(each, codes)[0][:, position] for position, each in enumerate(without)]
        return torch.stack(own, dim=1).log()


class LeaveOneOut(nn.Module):
    """The exact law of each clean token given all other noisy ones, under uniform noise with alpha = 1 - t."""

    def __init__(self, sequences: Tensor, probability: Tensor, vocabulary: int):
        super().__init__()
        self.sequences, self.probability, self.vocabulary = sequences, probability, vocabulary
        self.token_head = nn.Identity()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        kept = (1 - t)[:, None, None]
        same = x[:, None] == self.sequences  # (B, M, N)
        likely = (torch.where(same, kept, 0.0) + (1 - kept) / self.vocabulary).clamp(min=1e-300).log()
        others = likely.sum(dim=2, keepdim=True) - likely
        weight = others.exp() * self.probability[:, None]
        values = nn.functional.one_hot(self.sequences, self.vocabulary).double()
        mass = torch.einsum("bmn,mnv->bnv", weight, values)
        return (mass / mass.sum(dim=2, keepdim=True)).log()

    def noisy_law(self, kept: float) -> Tensor:
        """p(x_s) of every sequence."""
        same = self.sequences[:, None] == self.sequences
        return self.probability @ (kept * same.double() + (1 - kept) / self.vocabulary).prod(dim=2)


def predictions(denoiser: nn.Module, x: tuple[int, ...], t: float = 0.5) -> Tensor:
    """Log probabilities (N, V) at one state."""
    return denoiser(torch.tensor([x]), torch.tensor([t], dtype=torch.float64))[0].log_softmax(dim=-1)


Choose = Callable[[tuple[int, ...], Tensor, int], list[int]]


def path_law(denoiser: nn.Module, tokens: int, vocabulary: int, choose: Choose) -> Tensor:
    """p(x) of every sequence where each state says which positions come next, and they are drawn independently.

    Args:
        choose: (state, log probabilities, number of the step) -> positions.
    """

    def log_p(x: tuple[int, ...]) -> float:
        state, total, step = (vocabulary,) * tokens, 0.0, 0
        while vocabulary in state:
            said = predictions(denoiser, state)
            for position in choose(state, said, step):
                total += float(said[position, x[position]])
                state = (*state[:position], x[position], *state[position + 1 :])
            step += 1
        return total

    every = itertools.product(range(vocabulary), repeat=tokens)
    return torch.tensor([math.exp(log_p(x)) for x in every], dtype=torch.float64)


def any_order_law(denoiser: nn.Module, tokens: int, vocabulary: int) -> Tensor:
    """p(x) of every sequence whose positions are drawn one by one in a random order."""
    orders = list(itertools.permutations(range(tokens)))
    laws = [path_law(denoiser, tokens, vocabulary, lambda _, __, step, o=order: [o[step]]) for order in orders]
    return torch.stack(laws).mean(dim=0)


Transition = Callable[[Tensor, Tensor, float, float], Tensor]


def chain_law(denoiser: nn.Module, tokens: int, vocabulary: int, times: list[float], transition: Transition) -> Tensor:
    """p(x) of every sequence at the end of a chain on masked states whose positions move independently in a step.

    Args:
        times: t of the grid, the last being 0.
        transition: (states (S, N), p (S, N, V), t, s) -> probabilities (S, N, V + 1) of each next token, V the mask.
    """
    states = every_sequence(tokens, vocabulary + 1)
    law = (states == vocabulary).all(dim=1).double()
    for t, s in itertools.pairwise(times):
        p = denoiser(states, torch.full((len(states),), t, dtype=torch.float64)).softmax(dim=-1)
        moves = transition(states, p, t, s)
        matrix = moves[:, torch.arange(tokens), states].prod(dim=-1)  # (from, to)
        law = law @ matrix
    whole = (states < vocabulary).all(dim=1)
    assert float(law[whole].sum()) > 1 - 1e-9
    return law[whole]


def remasking(sigma: Callable[[float, float], float]) -> Transition:
    """The transition of remasking by sigma(alpha_t, alpha_s), alpha = 1 - t, written out as the paper has it."""

    def transition(states: Tensor, p: Tensor, t: float, s: float) -> Tensor:
        kept, shown, vocabulary = 1 - t, 1 - s, p.shape[-1]
        sig = sigma(kept, shown)
        masked = (states == vocabulary)[..., None]
        reveal = (shown - (1 - sig) * kept) / (1 - kept)
        to_mask = (1 - shown - sig * kept) / (1 - kept)
        of_masked = torch.cat([p * reveal, torch.full_like(p[..., :1], to_mask)], dim=-1)
        stays = nn.functional.one_hot(states, vocabulary + 1).double() * (1 - sig)
        stays[..., vocabulary] += sig
        return torch.where(masked, of_masked, stays)

    return transition


def count_excess(counts: Tensor, probability: float, positions: int) -> float:
    """As `chi_square_excess`, of numbers (n,) against a binomial law; rare numbers are put together."""
    law = torch.tensor(
        [math.comb(positions, k) * probability**k * (1 - probability) ** (positions - k) for k in range(positions + 1)],
        dtype=torch.float64,
    )
    seen, expected = torch.bincount(counts, minlength=positions + 1).double(), law * len(counts)
    rare = expected < 5
    seen = torch.cat([seen[~rare], seen[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    seen, expected = seen[expected > 0], expected[expected > 0]
    freedom = max(len(seen) - 1, 1)
    return float(((seen - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom)


def corrector_step(t: float) -> Step:
    time = torch.tensor(t, dtype=torch.float64)
    return Step(5, time, time)
