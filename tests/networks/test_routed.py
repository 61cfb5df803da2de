"""A denoiser with experts: that of MDLM where there is one; draws of them with the gradients of a relaxed choice."""

import pytest
import torch

from ladd.networks import DiT
from ladd.networks.routed import Route, RoutedDiT, choose
from ladd.training.optimiser import block_matrices
from tests.builders import network, perturb

X = torch.tensor([[0, 1, 3, 2, 3], [2, 2, 3, 0, 1]])
T = torch.tensor([0.2, 0.8])


def uniform(samples: int = 2, experts: int = 3) -> torch.Tensor:
    return torch.rand(samples, 2, 5, experts, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def both(timed: bool = False) -> tuple[DiT, RoutedDiT]:
    """The two networks from the same seed."""
    made = []
    for kind, own in ((DiT, {}), (RoutedDiT, {"experts": 1})):
        torch.manual_seed(1)
        made.append(kind(3, timed=timed, **network(gate=0.5), **own))
    return made[0], made[1]


@pytest.mark.parametrize("timed", [False, True])
def test_with_one_expert_it_is_the_network_without_and_starts_with_the_same_weights(timed):
    plain, routed = both(timed)
    draws = uniform(experts=1)
    assert torch.equal(plain(X, T), routed(X, T, draws).hidden)
    assert torch.equal(plain.token_head.weight, routed.token_head.weight)
    # Moved alike, parameter by parameter; routers have no part in the output.
    moved = [p for name, p in routed.named_parameters() if not name.endswith("router")]
    with torch.no_grad():
        for one, other in zip(plain.parameters(), moved, strict=True):
            drawn = torch.randn_like(one) * 0.3
            one.add_(drawn)
            other.add_(drawn)
    torch.testing.assert_close(plain(X, T), routed(X, T, draws).hidden)


def test_experts_are_drawn_from_the_softmax_whatever_the_temperature():
    logits = torch.tensor([0.5, -1.0, 1.5, 0.0])
    draws = torch.rand(4000, 1, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    routes = [choose(logits.expand(1, 1, 4), draws, temperature) for temperature in (0.01, 1.0)]
    assert torch.equal(routes[0].experts[..., 0], routes[1].experts[..., 0])
    share = torch.bincount(routes[0].experts[..., 0].flatten(), minlength=4) / 4000
    expected = logits.softmax(dim=0)
    assert ((share - expected).abs() < 5 * (expected * (1 - expected) / 4000).sqrt()).all()


def test_gradients_of_a_draw_are_those_of_the_softmax_of_the_two_largest():
    torch.manual_seed(3)
    logits, draws = torch.randn(2, 3, 4, requires_grad=True), torch.rand(2, 3, 4)
    outputs = torch.randn(2, 3, 2)
    route = choose(logits, draws, 0.7)
    assert torch.equal(route.weights.detach(), torch.tensor([1.0, 0.0]).expand(2, 3, 2))
    (found,) = torch.autograd.grad((route.weights * outputs).sum(), logits)
    again = logits.detach().requires_grad_()
    perturbed = again - torch.log(-torch.log(draws))
    relaxed = torch.softmax(perturbed.gather(2, route.experts) / 0.7, dim=-1)
    (expected,) = torch.autograd.grad((relaxed * outputs).sum(), again)
    torch.testing.assert_close(found, expected)
    assert (found.abs() > 0).sum(dim=-1).max() == 2


def test_a_token_passes_its_own_expert_alone():
    torch.manual_seed(4)
    stream = perturb(RoutedDiT(3, experts=3, **network())).blocks[0].stream
    h, experts = torch.randn(2, 5, 8), torch.randint(3, (2, 5, 2))
    route = Route(experts, torch.tensor([1.0, 0.0]).expand(2, 5, 2))
    found = stream.pass_experts(h, route)
    for row in range(2):
        for place in range(5):
            expected = stream.experts[experts[row, place, 0]](h[row, place])
            torch.testing.assert_close(found[row, place], expected)


def test_routes_of_a_pass_can_be_given_to_another_and_shared_rows_change_nothing():
    torch.manual_seed(6)
    model = perturb(RoutedDiT(3, experts=3, **network(gate=1.0)), 0.6)
    draws = uniform()
    first = model(X, T, draws)
    again = model(X, T, first.routes)
    torch.testing.assert_close(first.hidden, again.hidden)
    alike = X[:1].expand(2, -1)
    torch.testing.assert_close(model(alike, T, draws).hidden, model(X[:1], T[:1], draws).hidden)
    assert not torch.allclose(*model(X[:1], T[:1], draws).hidden, atol=1e-3)  # for their routes differ


def test_muon_takes_the_matrices_of_all_experts():
    model = RoutedDiT(3, experts=3, **network())
    assert len(block_matrices(model)) == 2 * (2 + 3 * 2)
