"""What padding is (docs/MOLECULES.md): what stands behind a string is nothing to AR, and a token to bounds."""

from __future__ import annotations

import pytest
import torch

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.evaluation.bounds import BoundSettings, token_bound
from ladd.networks import CausalTransformer
from ladd.systems.ar import negative_log_likelihood
from ladd.tasks.molecules.tokenizer import PAD
from tests.builders import network, perturb

VOCABULARY, LENGTH, TOKENS = 7, 5, 9


@pytest.fixture
def row() -> torch.Tensor:
    x = torch.full((1, TOKENS), PAD)
    x[0, :LENGTH] = torch.tensor([1, 3, 2, 6, 4])
    return x


def test_logits_of_ar_at_a_string_do_not_depend_on_what_stands_behind_it(row):
    model = perturb(CausalTransformer(VOCABULARY, **network())).eval()
    other, behind = row.clone(), torch.arange(LENGTH, TOKENS)
    other[0, behind] = 1 + behind % 3
    with torch.no_grad():
        logits = [model.token_head(model(x))[:, :LENGTH] for x in (row, other, row[:, :LENGTH])]
    assert torch.equal(logits[0], logits[1])
    assert torch.allclose(logits[0], logits[2], atol=1e-6)  # kernels add in another order
    assert not torch.allclose(
        model.token_head(model(other))[:, LENGTH + 1 :], model.token_head(model(row))[:, LENGTH + 1 :]
    )


def test_likelihood_of_ar_is_that_of_the_string_of_its_end_and_of_the_padding(row):
    model = perturb(CausalTransformer(VOCABULARY, **network())).eval()
    with torch.no_grad():
        whole = negative_log_likelihood(model, row, start_id=VOCABULARY)
        string = negative_log_likelihood(model, row[:, :LENGTH], start_id=VOCABULARY)
        inputs = torch.cat([torch.tensor([[VOCABULARY]]), row[:, :-1]], dim=1)
        of_pads = -model.token_head(model(inputs)).log_softmax(dim=-1)[0, LENGTH:, PAD].sum()
    assert float(whole) == pytest.approx(float(string + of_pads), rel=1e-5)


def test_bound_of_a_denoiser_counts_padding_as_any_other_token(row):
    """With the same prediction everywhere, -log p of each token by itself; the pads are among them."""

    class Same(torch.nn.Module):
        logits = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(1))
        token_head = torch.nn.Identity()

        def forward(self, x, t):
            return self.logits.expand(*x.shape, VOCABULARY)

    process = MaskedProcess(DISCRETE_SCHEDULES["linear"], VOCABULARY)
    found = token_bound(process, Same(), row.expand(2000, -1), BoundSettings(4, 500, 0)).mean()
    exact = -Same.logits.log_softmax(dim=0)[row].mean()
    assert float(found) == pytest.approx(float(exact), rel=0.03)
