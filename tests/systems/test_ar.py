"""The exact likelihood of the autoregressive baseline."""

import torch

from ladd.networks import CausalTransformer
from ladd.systems.ar import negative_log_likelihood
from tests.builders import network, perturb

X = torch.tensor([[0, 1, 2, 2], [2, 2, 1, 0]])
START = 3


def model() -> CausalTransformer:
    return perturb(CausalTransformer(3, **network())).eval()


def test_loss_is_the_sum_of_log_conditionals():
    network_, expected = model(), torch.zeros(2)
    for position in range(4):
        prefix = torch.cat([torch.full((2, 1), START), X[:, :position]], dim=1)
        logits = network_.token_head(network_(prefix)[:, -1])
        expected = expected - torch.log_softmax(logits, dim=-1)[torch.arange(2), X[:, position]]
    torch.testing.assert_close(negative_log_likelihood(network_, X, start_id=START), expected)


def test_probabilities_of_all_sequences_sum_to_one():
    every = torch.cartesian_prod(*[torch.arange(3)] * 3)
    total = (-negative_log_likelihood(model(), every, start_id=START)).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0))
