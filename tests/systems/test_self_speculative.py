"""Self-speculative masked diffusion: exact within a window, one pass where draft and target are equal."""

from itertools import permutations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ladd.diffusion.process import token_loss
from ladd.samplers.base import sample
from ladd.systems.base import Passes, backbone_macs
from tests.builders import network, perturb
from tests.samplers.known_answers import NEUTRAL, chi_square_excess, every_sequence, noise, number
from tests.systems.rivals import agree, bound_settings, drawn, made

TOKENS, V = 3, 2
SYSTEM = made("self-speculative", TOKENS, V)
EVERY = every_sequence(TOKENS)


def model(scale: float = 0.5) -> nn.Module:
    torch.manual_seed(5)
    trained = perturb(SYSTEM.build(), scale).eval()
    with torch.no_grad():  # so that no sequence is too rare to be counted
        for parameter in trained.token_head.parameters():
            parameter.mul_(0.3)
    return trained


@torch.no_grad()
def law_of(trained: nn.Module, window: int) -> torch.Tensor:
    """p(x) of every sequence where windows of so many tokens are drawn from the target, over all orders."""
    orders = list(permutations(range(TOKENS)))
    law = torch.zeros(len(EVERY), dtype=torch.float64)
    for each in orders:
        order = torch.tensor(each).expand_as(EVERY)
        log_p = torch.zeros(len(EVERY), dtype=torch.float64)
        for start in range(0, TOKENS, window):
            shown = EVERY.scatter(1, order[:, start:], V)
            target = trained.token_head(trained.verify(trained(shown), EVERY, order)).double().log_softmax(dim=-1)
            own = target.gather(2, EVERY.gather(1, order)[..., None])[..., 0]
            log_p += own[:, start : start + window].sum(dim=1)
        law += log_p.exp() / len(orders)
    return law


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_samples_of_windows_follow_the_product_of_the_targets(steps):
    trained = model()
    samples = drawn(SYSTEM, trained, 6000, "self-speculative", token_steps=steps, rounds=TOKENS)
    assert (samples.token_passes == steps).all()
    assert chi_square_excess(samples.tokens, law_of(trained, -(-TOKENS // steps))) < 5
    if steps == 1:  # rejections are what makes it so
        assert samples.latent_passes.double().mean() > 1.1
        assert chi_square_excess(samples.tokens, drafts(trained)) > 5


@torch.no_grad()
def drafts(trained: nn.Module) -> torch.Tensor:
    """p(x) of every sequence drafted at once."""
    log_p = trained.token_head(trained(torch.full((1, TOKENS), V))).double().log_softmax(dim=-1)
    return log_p.expand(len(EVERY), -1, -1).gather(2, EVERY[..., None])[..., 0].sum(dim=1).exp()


@pytest.mark.parametrize("steps", [1, 3])
def test_an_equal_draft_takes_one_pass_for_every_window(steps):
    trained = model()
    nn.init.zeros_(trained.output.weight)
    nn.init.zeros_(trained.output.bias)
    samples = drawn(SYSTEM, trained, 300, token_steps=steps)
    assert (samples.token_passes == steps).all()
    assert (samples.latent_passes == steps).all()


def test_an_untrained_target_is_the_draft():
    trained, order = SYSTEM.build(), torch.tensor([[2, 0, 1]])
    hidden = trained(torch.full((1, TOKENS), V))
    torch.testing.assert_close(trained.verify(hidden, EVERY[5:6], order), hidden[:, order[0]])


def test_one_round_per_pass_draws_a_token_at_least():
    trained = model()
    samples = drawn(SYSTEM, trained, 300, "self-speculative", rounds=1)
    assert 1 < samples.token_passes.max() <= TOKENS
    assert torch.equal(samples.latent_passes, samples.token_passes)
    assert (samples.tokens < V).all()


def test_target_of_a_place_sees_the_tokens_before_it_alone():
    system = made("self-speculative", 5, 3)
    trained = perturb(system.build(), 0.5).eval()
    order, x = torch.tensor([[3, 0, 4, 1, 2]]), torch.tensor([[0, 2, 1, 1, 0]])
    hidden = trained(torch.full((1, 5), 3))
    found = trained.verify(hidden, x, order)
    for place in range(5):
        other = x.clone()
        other[0, order[0, place]] = (other[0, order[0, place]] + 1) % 3
        changed = trained.verify(hidden, other, order)
        torch.testing.assert_close(changed[:, : place + 1], found[:, : place + 1])
        assert place == 4 or not torch.allclose(changed[:, place + 1 :], found[:, place + 1 :], atol=1e-3)


def test_bound_is_that_of_the_sampler_of_one_window():
    trained = model(0.3)
    places = torch.arange(len(EVERY)).repeat(100)
    found = SYSTEM.bounds(trained, EVERY[places], bound_settings(8, 800), None)["token_elbo"]
    means = found.view(100, len(EVERY)).mean(dim=0) * TOKENS
    exact = -law_of(trained, TOKENS).log()
    # By Jensen's inequality over orders, and close to it where orders agree.
    assert (means > exact - 0.02).all()
    expected = torch.zeros_like(exact)
    with torch.no_grad():
        for each in permutations(range(TOKENS)):
            order = torch.tensor(each).expand_as(EVERY)
            target = trained.token_head(trained.verify(trained(torch.full_like(EVERY, V)), EVERY, order)).double()
            own = target.log_softmax(dim=-1).gather(2, EVERY.gather(1, order)[..., None])
            expected -= own[..., 0].sum(dim=1) / 6
    agree(found, (expected / TOKENS)[places], 0.01)


def test_draft_loss_is_that_of_masked_diffusion_on_average():
    """N / (N - i) over i uniform is the ELBO weight over t: of a network that sees no token both are one number."""
    trained, x = SYSTEM.build(), torch.randint(V, (4096, TOKENS))

    class Blind(nn.Module):
        token_head = trained.token_head

        def forward(self, x, t=None):
            return trained(torch.full_like(x, V))

        def verify(self, hidden, x, order):
            return trained.verify(hidden, x, order)

    with torch.no_grad():
        found = [SYSTEM.losses(Blind(), x, None, noise(4096), step) for step in range(20)]
        plain = [token_loss(SYSTEM.process, Blind(), x, noise(4096), step).mean() / TOKENS for step in range(20)]
    draft, elbo = (torch.stack(values).double() for values in ([each["draft"] for each in found], plain))
    assert abs(float(draft.mean() - elbo.mean())) < 5 * float((draft.var() + elbo.var()).sqrt()) / 20**0.5 + 1e-3
    torch.testing.assert_close(found[0]["target"], found[0]["draft"])  # untrained


def test_given_tokens_come_first_and_stay():
    trained = model()
    kind = SYSTEM.samplers(SYSTEM.settings)["self-speculative"]
    start = torch.tensor([[1, V, V], [V, 0, V]]).repeat(50, 1)
    x = sample(kind.of(SYSTEM.source_of(trained), NEUTRAL), start, noise(100)).tokens
    assert torch.equal(x[start != V], start[start != V])
    assert len(number(x, V).unique()) > 4


def test_cost_charges_both_kinds_of_passes():
    system = made("self-speculative", TOKENS, V, network=network(layers=5))
    cost = system.cost(Passes(3.0, 4.0))
    macs = 3 * backbone_macs(TOKENS, 8, 4) + 4 * backbone_macs(TOKENS, 8, 1)
    assert cost.nfe == 3
    assert cost.gmacs * 1e9 == pytest.approx(macs)
    with pytest.raises(ValidationError, match="2 or more"):
        made("self-speculative", TOKENS, V, network=network(layers=1))
