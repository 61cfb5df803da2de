"""Denoisers with known answers, one small case per sampler, and the chi-square test of their samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction, Process
from ladd.diffusion.schedules import DISCRETE_SCHEDULES, GAUSSIAN_SCHEDULES
from ladd.latents.codebook import Codebook
from ladd.networks import CausalTransformer
from ladd.networks.transformer import KeyValueCache
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.ar import LeftToRight
from ladd.samplers.base import Sampler, Samples, sample
from ladd.samplers.joint import Joint
from ladd.samplers.sequential import Sequential
from ladd.samplers.sources import NextTokenSource, PairSource, Stream, TokenSource, share_equal_rows
from ladd.systems.channels import Codes, Vectors
from ladd.systems.co_ladd import CoLadd
from ladd.systems.di_ladd import DiLadd
from tests.builders import TableDenoiser, network, perturb

LINEAR, SQRT = DISCRETE_SCHEDULES["linear"], GAUSSIAN_SCHEDULES["sqrt"]
NEUTRAL = {"token_steps": 1, "latent_steps": 0, "token_lag": 1.0, "latent_lead": 1.0, "eta": 0.0}
NEUTRAL |= {"temperature": 1.0, "precision": "float64"}


def noise(samples: int, seed: int = 0) -> SampleNoise:
    return SampleNoise(seed, torch.arange(samples))


def every_sequence(length: int, values: int = 2) -> Tensor:
    """All sequences (values^length, length) in lexicographic order."""
    return torch.cartesian_prod(*[torch.arange(values)] * length).view(-1, length)


class Law:
    """A joint law of tokens and codes that is small enough to enumerate.

    Args:
        tokens: int64 (M, N) and codes: int64 (M, L), the states.
        probability: (M,).
    """

    def __init__(self, tokens: Tensor, codes: Tensor, probability: Tensor):
        self.tokens, self.codes, self.probability = tokens, codes, probability.double()
        self.vocabulary, self.codebook = int(tokens.max()) + 1, int(codes.max()) + 1

    def given(self, x: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """p(token | visible) (B, N, V) and p(code | visible) (B, L, K); V and K stand for masked."""
        fits = ((x[:, None] == self.tokens) | (x[:, None] == self.vocabulary)).all(dim=-1)
        fits = fits & ((codes[:, None] == self.codes) | (codes[:, None] == self.codebook)).all(dim=-1)
        weight = fits * self.probability
        weight = weight / weight.sum(dim=1, keepdim=True)
        one_hot = nn.functional.one_hot
        tokens = torch.einsum("bm,mnv->bnv", weight, one_hot(self.tokens, self.vocabulary).double())
        return tokens, torch.einsum("bm,mlk->blk", weight, one_hot(self.codes, self.codebook).double())

    def of_tokens(self) -> Tensor:
        """p(x) of every sequence, in the order of `every_sequence`."""
        return torch.bincount(number(self.tokens, self.vocabulary), weights=self.probability)


def number(x: Tensor, values: int) -> Tensor:
    """The place of each row in `every_sequence`."""
    return (x * values ** torch.arange(x.shape[1] - 1, -1, -1)).sum(dim=1)


def mixture(prior: Tensor, ones: Tensor) -> Law:
    """Binary tokens that are independent given one code: prior (K,), ones (K, N) = P(x_i = 1 | code)."""
    tokens = every_sequence(ones.shape[1])
    table = torch.stack([1 - ones, ones], dim=-1)
    given_code = table[:, torch.arange(ones.shape[1]), tokens].prod(dim=-1)  # (K, 2^N)
    codes = torch.arange(len(prior)).repeat_interleave(len(tokens))[:, None]
    return Law(tokens.repeat(len(prior), 1), codes, (prior[:, None] * given_code).flatten())


def product_law(ones: Tensor) -> Tensor:
    """p(x) of every sequence of independent binary tokens, ones (N,)."""
    return mixture(torch.ones(1), ones[None]).of_tokens()


PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
ONES = torch.tensor([[0.1, 0.2, 0.8, 0.9], [0.8, 0.3, 0.2, 0.7], [0.6, 0.9, 0.9, 0.2]], dtype=torch.float64)


class ExactDenoiser(nn.Module):
    """The exact posterior of a law, with the interface of a two-stream network; code vectors are one-hot."""

    def __init__(self, law: Law):
        super().__init__()
        self.law, self.token_head, self.latent_head = law, nn.Identity(), nn.Identity()

    def forward(
        self, x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor, z_masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        codes = z.argmax(dim=-1)
        if z_masked is not None:
            codes = codes.masked_fill(z_masked, self.law.codebook)
        tokens, codes = self.law.given(x, codes)
        return tokens.log(), codes.log()


class ExactTokenDenoiser(nn.Module):
    """The exact posterior of the tokens, with the interface of a token denoiser."""

    def __init__(self, law: Law):
        super().__init__()
        self.law, self.token_head = law, nn.Identity()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        codes = torch.full((len(x), self.law.codes.shape[1]), self.law.codebook)
        return self.law.given(x, codes)[0].log()


def one_hot_codebook(size: int) -> Codebook:
    book = Codebook(size, size)
    book.vectors.copy_(torch.eye(size))
    return book


def chi_square_excess(samples: Tensor, law: Tensor, values: int = 2) -> float:
    """Standard deviations by which the chi-square statistic of samples (n, N) exceeds its mean; fits below 5."""
    expected = law * len(samples)
    assert expected.min() >= 5, "chi-square needs 5 expected samples of every sequence"
    counts = torch.bincount(number(samples, values), minlength=len(law))
    freedom = len(law) - 1
    return float(((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom)


class Tables(nn.Module):
    """A two-stream denoiser whose outputs are fixed functions of visible tokens and latents, for either family.

    Its latent output (B, L, w) serves as logits of w codes and as a prediction of z_0.
    """

    def __init__(self, tokens: int, vocabulary: int, length: int, width: int):
        super().__init__()
        generator = torch.Generator().manual_seed(9)
        self.shapes = (tokens, vocabulary), (length, width)
        outputs = tokens * vocabulary + length * width
        self.from_tokens = torch.randn(tokens, vocabulary + 1, outputs, generator=generator, dtype=torch.float64)
        self.from_latents = torch.randn(length, width, outputs, generator=generator, dtype=torch.float64)
        self.token_head, self.latent_head = nn.Identity(), nn.Identity()

    def forward(
        self, x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor, z_masked: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if z_masked is not None:
            z = z.masked_fill(z_masked[..., None], 0.0)
        outputs = self.from_tokens[torch.arange(x.shape[1]), x].sum(dim=1)
        outputs = outputs + (z[..., None] * self.from_latents).sum(dim=(1, 2))
        tokens, latents = outputs.split([math.prod(shape) for shape in self.shapes], dim=1)
        return tokens.unflatten(1, self.shapes[0]), latents.unflatten(1, self.shapes[1])


class PullToZero(nn.Module):
    """A prior that predicts half of what it is given."""

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        return z / 2


def draw(kind: type[Sampler], source: object, x: Tensor, noise_: SampleNoise, **settings) -> Samples:
    """Samples of a kind of sampler, from neutral settings but for those that are given."""
    return sample(kind.of(source, NEUTRAL | settings), x, noise_)


def token_source(denoiser: nn.Module, process: Process, *, share_rows: bool = True) -> TokenSource:
    network_ = share_equal_rows(denoiser, share_rows)
    return TokenSource(Stream(process, "token", ()), lambda x, t: Prediction(network_(x, t), denoiser.token_head))


def pair_source(
    model: SimpleNamespace,
    latents: str,
    shape: tuple[int, int],
    *,
    process: MaskedProcess,
    schedule: str = "linear",
    share_rows: bool = True,
) -> PairSource:
    """What LADD systems draw from, on codes of a one-hot codebook ("discrete") or vectors ("continuous") (L, w)."""
    discrete = latents == "discrete"
    channel = Codes(schedule, shape[1]) if discrete else Vectors(schedule)
    system = SimpleNamespace(process=process, channel=channel, tokens=0)
    system.shape = SimpleNamespace(length=shape[0], width=shape[1])
    if discrete:
        return DiLadd.source_of(system, model, share_rows=share_rows)
    if vars(model).setdefault("prior", None) is not None:
        model.prior.process = channel.process
    return CoLadd.source_of(system, model, share_rows=share_rows)


class Case(NamedTuple):
    """A sampler with a small network: run(x, noise, options=...)."""

    network: nn.Module
    prior: nn.Module
    run: Callable[..., Samples]


TOKENS, VOCABULARY, LENGTH, WIDTH = 6, 8, 2, 3
MASK = VOCABULARY
LATENT_KINDS = ["joint-discrete", "joint-continuous", "sequential-discrete", "sequential-continuous"]
KINDS = ["masked", *LATENT_KINDS, "autoregressive"]


def case(kind: str, schedule: str = "linear") -> Case:
    """The sampler of that kind with fixed tables (a tiny transformer where it is autoregressive)."""
    process, prior = MaskedProcess(DISCRETE_SCHEDULES[schedule], VOCABULARY), PullToZero()
    sampler: type[Sampler] = {"masked": Ancestral, "autoregressive": LeftToRight}.get(kind, Joint)
    if kind == "masked":
        denoiser: nn.Module = TableDenoiser(TOKENS, VOCABULARY)
        make = partial(token_source, denoiser, process)
    elif kind == "autoregressive":
        torch.manual_seed(3)
        denoiser = perturb(CausalTransformer(VOCABULARY, **network())).eval()

        def make(share_rows: bool = True) -> NextTokenSource:
            return NextTokenSource(denoiser, VOCABULARY, KeyValueCache)
    else:
        order, latents = kind.split("-")
        sampler = Joint if order == "joint" else Sequential
        denoiser = Tables(TOKENS, VOCABULARY, LENGTH, WIDTH)
        model = SimpleNamespace(denoiser=denoiser, codebook=one_hot_codebook(WIDTH), prior=prior)
        of_latents = schedule if latents == "discrete" else "sqrt"
        make = partial(pair_source, model, latents, (LENGTH, WIDTH), process=process, schedule=of_latents)

    def run(x: Tensor, noise_: SampleNoise, *, options: dict) -> Samples:
        settings = {name: value for name, value in options.items() if name != "share_rows"}
        return draw(sampler, make(share_rows=options.get("share_rows", True)), x, noise_, **settings)

    return Case(denoiser, prior, run)


def options_of(kind: str, token_steps: int, **changes) -> dict:
    latent_steps = 3 if kind.startswith("sequential") else 0
    return {"token_steps": token_steps, "latent_steps": latent_steps, "eta": 0.7} | changes


def all_masked(samples: int, tokens: int = TOKENS, mask_id: int = MASK) -> Tensor:
    return torch.full((samples, tokens), mask_id)


def partly_given(samples: int) -> Tensor:
    """Every row with its own given tokens; the first row has none, the second nothing left to draw."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randint(VOCABULARY, (samples, TOKENS), generator=generator)
    masked = torch.rand(samples, TOKENS, generator=generator) < 0.6
    masked[0], masked[1] = True, False
    return x.masked_fill(masked, MASK)


def record(module: nn.Module) -> list[tuple]:
    """The positional arguments of every later call of a module."""
    calls: list[tuple] = []
    module.register_forward_pre_hook(lambda _, given: calls.append(given))
    return calls


class FixedNoise:
    """Noise whose uniform draws are one number per name, the first whose key ends the name."""

    def __init__(self, samples: int, **values: float):
        self.count, self.samples, self.values = samples, torch.arange(samples), values

    def uniform(self, name: str, step: int, *shape: int) -> Tensor:
        value = next(value for key, value in self.values.items() if name.endswith(key))
        return torch.full((self.count, *shape), value, dtype=torch.float64)

    def normal(self, name: str, step: int, *shape: int) -> Tensor:
        return torch.zeros(self.count, *shape, dtype=torch.float64)

    def select(self, rows: Tensor) -> FixedNoise:
        return FixedNoise(int(rows.sum()), **self.values)


class ConstantHead(nn.Module):
    """A head that gives the same logits everywhere."""

    def __init__(self, logits: list[float]):
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float64)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.logits.expand(*hidden.shape[:-1], -1)
