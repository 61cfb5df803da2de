"""DCD: the autoregressive model where both passes of the denoiser agree, the masked one where the rest says nothing."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.diffusion.process import token_loss
from ladd.samplers.ar import LeftToRight
from ladd.samplers.base import sample
from ladd.systems.ar import negative_log_likelihood
from ladd.systems.base import Passes, backbone_macs
from ladd.systems.dcd import causal_view
from tests.builders import TableDenoiser, network, perturb
from tests.samplers.known_answers import NEUTRAL, all_masked, chi_square_excess, draw, every_sequence, noise, record
from tests.systems.rivals import drawn, made

TOKENS, V = 5, 3
SYSTEM = made("dcd", TOKENS, V)
EVERY = every_sequence(3)
LAW = torch.tensor([0.2, 0.05, 0.05, 0.2, 0.05, 0.15, 0.1, 0.2], dtype=torch.float64)


def model() -> nn.Module:
    torch.manual_seed(2)
    return perturb(SYSTEM.build()).eval()


class SameBothWays(nn.Module):
    """A denoiser whose two passes agree, whatever it predicts."""

    def __init__(self):
        super().__init__()
        self.table, self.token_head = TableDenoiser(TOKENS, V), nn.Identity()

    def forward(self, x, t, causal=False):
        return self.table(x, t)


def of_next_token(trained, count: int) -> torch.Tensor:
    source = SYSTEM.source_of(trained).next_token
    return draw(LeftToRight, source, all_masked(count, TOKENS, V), noise(count)).tokens


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_with_equal_passes_it_is_the_autoregressive_model(steps):
    trained = model()
    trained.denoiser = SameBothWays()
    assert torch.equal(drawn(SYSTEM, trained, 80, "dcd", token_steps=steps).tokens, of_next_token(trained, 80))


def test_without_the_ratio_it_is_the_autoregressive_model_and_asks_no_denoiser():
    trained = model()
    samples = drawn(SYSTEM, trained, 80, "dcd", token_steps=3, strength=0.0)
    assert torch.equal(samples.tokens, of_next_token(trained, 80))
    assert samples.token_passes.sum() == 0


def test_where_all_else_is_uniform_it_is_the_factorised_model():
    """All in one step: the law is the product of what the denoiser says of single tokens."""
    full = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]], dtype=torch.float64)
    system = made("dcd", 3, 2)
    trained = system.build()
    trained.next_token.token_head = nn.Linear(8, 2)
    nn.init.zeros_(trained.next_token.token_head.weight)
    nn.init.zeros_(trained.next_token.token_head.bias)

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.token_head = nn.Identity()

        def forward(self, x, t, causal=False):
            return torch.zeros(len(x), 3, 2).double() if causal else full.log().expand(len(x), -1, -1)

    trained.denoiser = Fixed()
    product = torch.stack([full[0, a] * full[1, b] * full[2, c] for a, b, c in EVERY])
    assert chi_square_excess(drawn(system, trained, 4000, "dcd").tokens, product) < 5


class Exact(nn.Module):
    """Conditional laws of LAW: of single tokens given those that are seen."""

    def __init__(self):
        super().__init__()
        self.token_head = nn.Identity()

    def given(self, x: torch.Tensor) -> torch.Tensor:
        fits = ((x[:, None] == EVERY) | (x[:, None] == 2)).all(dim=-1) * LAW
        one_hot = nn.functional.one_hot(EVERY, 2).double()
        return torch.einsum("bm,mnv->bnv", fits / fits.sum(dim=1, keepdim=True), one_hot).log().clamp_min(-60)

    def forward(self, x, t, causal=False):
        if not causal:
            return self.given(x)
        places = torch.arange(3)
        return torch.stack([self.given(torch.where(places <= i, x, 2))[:, i] for i in range(3)], dim=1)


class ExactNext(Exact):
    """The same from left to right; the tokens so far are the cache."""

    def forward(self, x, cache, start):
        cache.append(x)
        seen = torch.cat(cache[1:], dim=1) if start else x[:, :0]
        whole = torch.cat([seen, seen.new_full((len(x), 3 - start), 2)], dim=1)
        return self.given(whole)[:, start : start + 1]


def exact_samples(count: int, steps: int, first: str) -> torch.Tensor:
    system = made("dcd", 3, 2)
    trained = SimpleNamespace(denoiser=Exact(), next_token=ExactNext())
    source = system.source_of(trained)
    source = replace(source, next_token=replace(source.next_token, cache=list))
    kind = system.samplers(system.settings)["dcd"]
    sampler = kind.of(source, NEUTRAL | {"token_steps": steps, "first": first})
    return sample(sampler, all_masked(count, 3, 2), noise(count)).tokens


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("first", ["copula", "marginal"])
def test_of_exact_networks_the_law_is_exact_whatever_the_steps(steps, first):
    assert chi_square_excess(exact_samples(4000, steps, first), LAW) < 5


def test_causal_pass_sees_no_later_token_and_has_the_weights_of_the_other():
    denoiser = model().denoiser
    x, t = torch.randint(V + 1, (4, TOKENS)), torch.ones(4)
    changed = x.clone()
    changed[:, 3] = (changed[:, 3] + 1) % V
    found, other = denoiser(x, t, True), denoiser(changed, t, True)
    torch.testing.assert_close(found[:, :3], other[:, :3])
    assert not torch.allclose(found[:, 3:], other[:, 3:], atol=1e-3)
    assert not torch.allclose(denoiser(x, t)[:, :3], denoiser(changed, t)[:, :3], atol=1e-3)
    view = causal_view(denoiser.transformer)
    pairs = zip(view.parameters(), denoiser.transformer.parameters(), strict=True)
    assert all(mine is its for mine, its in pairs)
    assert not any(block.causal for block in denoiser.transformer.blocks)


def test_loss_is_the_sum_of_both_and_the_causal_share_is_kept():
    trained, x = model(), torch.randint(V, (6, TOKENS))
    found = SYSTEM.losses(trained, x, None, noise(6), 4)
    torch.testing.assert_close(found["token"], token_loss(SYSTEM.process, trained.denoiser, x, noise(6), 4).mean() / 5)
    expected = negative_log_likelihood(trained.next_token, x, start_id=V).mean() / 5
    torch.testing.assert_close(found["next_token"], expected)
    torch.testing.assert_close(found["loss"], found["token"] + found["next_token"])
    half = made("dcd", TOKENS, V, causal_share=0.5)
    share = sum(half._causal(noise(1), step) for step in range(400)) / 400
    assert abs(share - 0.5) < 5 * 0.5 / 20
    assert not any(SYSTEM._causal(noise(1), step) for step in range(50))


def test_training_under_the_causal_mask_moves_the_causal_pass():
    always = made("dcd", TOKENS, V, causal_share=0.999)
    trained, x = model(), torch.randint(V, (6, TOKENS))
    causal = always.losses(trained.train(), x, None, noise(6), 4)["token"]
    plain = always.losses(trained.eval(), x, None, noise(6), 4)["token"]
    assert not torch.allclose(causal, plain, atol=1e-3)


@pytest.mark.parametrize(("steps", "pairs"), [(1, 1), (2, 2), (5, 5)])
def test_two_passes_for_every_step_and_one_position_for_every_token(steps, pairs):
    trained = model()
    calls, positions = record(trained.denoiser), record(trained.next_token)
    samples = drawn(SYSTEM, trained, 7, "dcd", token_steps=steps)
    assert len(calls) == 2 * pairs
    assert len(positions) == TOKENS
    assert (samples.token_passes == 2 * pairs).all()
    assert (samples.latent_passes == TOKENS).all()
    assert SYSTEM.nominal_passes(steps, 0) == Passes(2 * steps, TOKENS)


def test_cost_by_hand():
    system = made("dcd", TOKENS, V, next_token=network(width=12, layers=3))
    cost = system.cost(Passes(4.0, float(TOKENS)))
    macs = 4 * backbone_macs(TOKENS, 8, 2) + backbone_macs(TOKENS, 12, 3)
    assert cost.nfe == 9
    assert cost.gmacs * 1e9 == pytest.approx(macs)
    assert cost.gflops * 1e9 == pytest.approx(2 * (macs + (4 * 8 + 12) * TOKENS * V))
