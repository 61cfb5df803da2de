"""E-MoE: MDLM where there is one expert; laws and bounds by enumeration of routes; tokens that agree in one step."""

import pytest
import torch
from torch import nn

from ladd.networks.routed import Route, RoutedDiT
from ladd.samplers.ancestral import Ancestral
from ladd.systems.base import Passes, backbone_macs
from ladd.systems.e_moe import divergence
from tests.builders import executor, perturb, training
from tests.samplers.known_answers import all_masked, chi_square_excess, draw, every_sequence, noise
from tests.systems.rivals import agree, bound_settings, drawn, made, train

SINGLE = made("e-moe", 5, 3, experts=1)


def from_one_seed(system) -> nn.Module:
    torch.manual_seed(7)
    return system.build()


@pytest.mark.parametrize("weight", ["elbo", "constant"])
def test_with_one_expert_it_trains_as_mdlm_does(weight):
    settings = {"token_channel": {"weight": weight}}
    systems = made("mdlm", 5, 3, **settings), made("e-moe", 5, 3, experts=1, **settings)
    x = torch.randint(3, (6, 5), generator=torch.Generator().manual_seed(0))
    models = [train(system, from_one_seed(system), x, 8, batch=6) for system in systems]
    losses = [system.losses(model, x, None, noise(6), 3) for system, model in zip(systems, models, strict=True)]
    torch.testing.assert_close(losses[0]["loss"], losses[1]["loss"])
    assert losses[1]["kl"] == 0
    plain = systems[0].bounds(models[0], x, bound_settings(2), None)["token_elbo"]
    for bound in systems[1].bounds(models[1], x, bound_settings(2), None).values():
        torch.testing.assert_close(bound, plain)


@pytest.mark.parametrize("steps", [1, 4])
def test_with_one_expert_it_draws_the_samples_of_mdlm(steps):
    plain = made("mdlm", 5, 3)
    model = from_one_seed(plain)
    expected = draw(Ancestral, plain.source_of(model), all_masked(60, 5, 3), noise(60), token_steps=steps)
    found = drawn(SINGLE, from_one_seed(SINGLE), 60, "e-moe", token_steps=steps)
    assert torch.equal(found.tokens, expected.tokens)
    assert torch.equal(found.token_passes, expected.token_passes)


TWO = made("e-moe", 2, 2, experts=2)
EVERY = every_sequence(2)
ROUTES = every_sequence(4).view(16, 2, 2).unbind(dim=1)  # of 2 blocks, each of 2 tokens, (16, 2)


def small() -> RoutedDiT:
    """Two tokens, two blocks, two experts that matter."""
    torch.manual_seed(11)
    model = perturb(TWO.build(), 0.5)
    with torch.no_grad():
        for block in model.blocks:
            block.stream.router.copy_(0.3 * torch.randn(2, 8))
    return model.double().eval()


@torch.no_grad()
def given_routes(model: RoutedDiT, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of all routes: their log probability (16,), and log laws of the tokens (16, 2, 2), from x int64 (2,)."""
    given = [Route(each[..., None], torch.ones(16, 2, 1).double()) for each in ROUTES]
    routed = model(x[None], torch.zeros(1), given)
    found = zip(routed.logits, ROUTES, strict=True)
    log_p = sum(
        logits.log_softmax(-1).expand(16, -1, -1).gather(2, each[..., None]).sum((1, 2)) for logits, each in found
    )
    return log_p, model.token_head(routed.hidden).log_softmax(-1)


def exact(model: RoutedDiT, x: torch.Tensor) -> tuple[float, float, float]:
    """-log p(x) in continuous time, and both bounds of it, in nats: averages over the two orders of two tokens."""
    recognised = given_routes(model, x)[0]
    likelihood = token = full = 0.0
    for first in range(2):
        shown, p = torch.full((2,), 2), 1.0
        for place in (first, 1 - first):
            prior, laws = given_routes(model, shown)
            of_token = laws[:, place, x[place]]
            p = p * float((prior + of_token).exp().sum())
            token += float(-(prior.exp() * of_token).sum()) / 2
            full += float((recognised.exp() * (recognised - prior - of_token)).sum()) / 2
            shown[place] = x[place]
        likelihood += p / 2
    return float(-torch.tensor(likelihood).log()), token, full


def test_bounds_are_those_of_all_routes_and_above_the_likelihood():
    model, count = small(), 300
    assert given_routes(model, EVERY[1])[0].exp().sum() == pytest.approx(1)
    for x in EVERY[:2]:
        likelihood, token, full = exact(model, x)
        assert token > likelihood + 1e-4
        assert full > likelihood + 1e-4
        found = TWO.bounds(model, x.repeat(count, 1), bound_settings(8, 300), None)
        agree(found["token_elbo"], torch.full((count,), token / 2).double(), 0.06)
        agree(found["full_bound"], torch.full((count,), full / 2).double(), 0.06)


def test_one_step_has_the_law_of_all_routes():
    model = small()
    prior, laws = given_routes(model, torch.full((2,), 2))
    law = torch.stack([(prior + laws[:, 0, a] + laws[:, 1, b]).exp().sum() for a, b in EVERY])
    assert chi_square_excess(drawn(TWO, model, 4000, "e-moe").tokens, law) < 5


def test_divergence_is_that_of_the_laws_of_all_routes():
    model = small()
    x = torch.tensor([[0, 1]])
    masked = torch.full_like(x, 2)
    posterior, prior = given_routes(model, x[0])[0], given_routes(model, masked[0])[0]
    expected = (posterior.exp() * (posterior - prior)).sum()
    samples, found = 3000, []
    uniform = torch.rand(samples, 2, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        clean = model(x.expand(samples, 2), torch.zeros(samples), uniform)
        found = divergence(clean.logits, model(masked, torch.zeros(1), clean.routes).logits)
    assert abs(found.mean() - expected) < 4 * found.std() / samples**0.5
    assert expected > 1e-3


def majority() -> RoutedDiT:
    """Three tokens that become what most of them have drawn in the first block; set by hand."""
    model = made("e-moe", 3, 2, experts=2).build()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "modulation.bias" not in name or name.startswith("norm"):
                parameter.zero_()  # what is left are the gates, which are 1
        drawn_sign, seen_sign = torch.zeros(2, 8)
        drawn_sign[:2], seen_sign[2:4] = torch.tensor([1.0, -1.0]), torch.tensor([1.0, -1.0])
        first, second = (block.stream for block in model.blocks)
        first.experts[0][2].bias.copy_(drawn_sign)
        first.experts[1][2].bias.copy_(-drawn_sign)
        second.qkv.weight[16] = drawn_sign  # a value; queries and keys are 0, so the mean over tokens is attended to
        second.output.weight[:, 0] = 100 * seen_sign
        model.token_head.weight[1] = 50 * seen_sign
    return model.eval()


def test_one_step_of_a_network_set_by_hand_draws_tokens_that_agree():
    """All are 0 or all are 1, half of the time each; of independent tokens with these marginals a quarter agrees."""
    system = made("e-moe", 3, 2, experts=2)
    x = drawn(system, majority(), 600, "e-moe").tokens
    assert (x == x[:, :1]).all()
    assert abs(x[:, 0].double().mean() - 0.5) < 4 * 0.5 / 600**0.5


def test_temperature_of_the_relaxed_choice_falls_to_its_end():
    system = made("e-moe", relaxation=[1.0, 0.01], annealing=0.5, training=training(steps=8))
    assert [round(system._temperature(step), 4) for step in (0, 2, 4, 7)] == [1.0, 0.1, 0.01, 0.01]


def test_cost_by_hand_counts_one_expert_and_the_routers():
    system = made("e-moe", 5, 3, experts=7)
    cost = system.cost(Passes(4.0, 0.0))
    macs = 4 * (backbone_macs(5, 8, 2) + 2 * 5 * 8 * 7)
    assert cost.nfe == 4
    assert cost.gmacs * 1e9 == pytest.approx(macs)
    assert cost.gflops * 1e9 == pytest.approx(2 * (macs + 5 * 8 * 3))


def test_what_acts_on_other_blocks_is_refused():
    with pytest.raises(ValueError, match=r"training\.executor: compile and recompute"):
        made("e-moe", training=training(executor=executor(compile=True)))


def test_its_loss_is_that_of_tokens_and_the_divergence_at_its_weight():
    system = made("e-moe", 5, 3, experts=2, kl_weight=3.0)
    model, x = perturb(system.build(), 0.5), torch.randint(3, (6, 5))
    found = system.losses(model, x, None, noise(6), 4)
    assert found["kl"] > 0
    torch.testing.assert_close(found["loss"], found["token"] + 3 * found["kl"] / 5)
