"""Autoregressive baseline: exact law, and a cache that changes nothing."""

import pytest
import torch
from torch import nn

from ladd.diffusion.heads import draw_categorical
from ladd.networks import CausalTransformer
from ladd.networks.transformer import KeyValueCache
from ladd.samplers.ar import LeftToRight
from ladd.samplers.sources import NextTokenSource
from tests.builders import network, perturb
from tests.samplers.known_answers import (
    ONES,
    PRIOR,
    all_masked,
    chi_square_excess,
    draw,
    every_sequence,
    mixture,
    noise,
)

LAW, COUNT = mixture(PRIOR, ONES), 10_000


class ExactNextToken(nn.Module):
    """p(x_i | x_<i) of the law; what it has seen is kept in the cache."""

    def __init__(self):
        super().__init__()
        self.token_head = nn.Identity()

    def forward(self, x, cache, start):
        seen, _ = cache.extend(0, x[:, None, :, None], x[:, None, :, None])
        assert seen.shape[2] == start + 1
        prefix = all_masked(len(x), 4, 2)
        prefix[:, :start] = seen[:, 0, 1:, 0]
        return LAW.given(prefix, torch.full((len(x), 1), LAW.codebook))[0][:, start : start + 1].log()


def left_to_right(network_: nn.Module, x: torch.Tensor, vocabulary: int, **options):
    return draw(LeftToRight, NextTokenSource(network_, vocabulary, KeyValueCache), x, noise(len(x)), **options)


def sample_exact(given: torch.Tensor, **options) -> torch.Tensor:
    return left_to_right(ExactNextToken(), given, 2, **options).tokens


def test_samples_have_the_exact_law():
    assert abs(chi_square_excess(sample_exact(all_masked(COUNT, 4, 2)), LAW.of_tokens())) < 5


def test_given_prefix_is_conditioned_on():
    given = all_masked(COUNT, 4, 2)
    given[:, :2] = torch.tensor([1, 0])
    match = (every_sequence(4)[:, :2] == torch.tensor([1, 0])).all(dim=1)
    conditional = LAW.of_tokens()[match]
    assert abs(chi_square_excess(sample_exact(given)[:, 2:], conditional / conditional.sum())) < 5


def test_starts_from_the_start_symbol():
    seen = []
    exact = ExactNextToken()
    exact.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    left_to_right(exact, all_masked(5, 4, 2), 2)
    assert (seen[0] == 2).all()
    assert all(x.shape == (5, 1) for x in seen)


def test_temperature_sharpens_every_conditional():
    # Tempered conditionals, multiplied from left to right.
    tempered, sequences = torch.ones(16, dtype=torch.float64), every_sequence(4)
    for i in range(4):
        prefix = sequences.clone()
        prefix[:, i:] = 2
        p = LAW.given(prefix, torch.full((16, 1), LAW.codebook))[0][torch.arange(16), i] ** (1 / 1.5)
        tempered *= (p / p.sum(dim=1, keepdim=True))[torch.arange(16), sequences[:, i]]
    x = sample_exact(all_masked(COUNT, 4, 2), temperature=1.5)
    assert abs(chi_square_excess(x, tempered)) < 5
    assert chi_square_excess(x, LAW.of_tokens()) > 50


@pytest.mark.parametrize("given", [False, True])
def test_cache_gives_the_samples_of_a_full_recomputation(given):
    model = perturb(CausalTransformer(5, **network())).eval()
    x = all_masked(30, 7, 5)
    if given:
        x[:, [0, 3, 4]] = torch.randint(5, (30, 3))
    naive, uniform = x.clone(), noise(30).uniform("token", 0, 7)
    with torch.no_grad():
        for i in range(7):
            inputs = torch.cat([torch.full((30, 1), 5), naive[:, :i]], dim=1)
            drawn = draw_categorical(model.token_head(model(inputs)[:, -1]), uniform[:, i])
            naive[:, i] = torch.where(x[:, i] == 5, drawn, x[:, i])
    samples = left_to_right(model, x, 5)
    assert torch.equal(samples.tokens, naive)
    assert len(naive.unique(dim=0)) > 20


def test_every_sample_takes_one_pass_per_position():
    model = perturb(CausalTransformer(5, **network())).eval()
    samples = left_to_right(model, all_masked(3, 7, 5), 5)
    assert samples.token_passes.tolist() == [7, 7, 7]
    assert samples.latent_passes.tolist() == [0, 0, 0]
