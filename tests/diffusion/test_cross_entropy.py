"""Cross-entropy in parts, against the plain one: values, gradients and what is never held."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ladd.diffusion import heads
from ladd.diffusion.heads import weighted_cross_entropy

ROWS, WIDTH, VOCABULARY = 23, 6, 50


@pytest.fixture
def in_parts(monkeypatch):
    """At most seven rows at a time."""
    monkeypatch.setattr(heads, "LOGITS_AT_A_TIME", 7 * VOCABULARY)


def problem(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(ROWS, WIDTH, generator=generator, dtype=dtype).mul_(3).requires_grad_()
    head = nn.Linear(WIDTH, VOCABULARY, dtype=dtype)
    nn.init.normal_(head.weight, std=2.0, generator=generator)
    targets = torch.randint(VOCABULARY, (ROWS,), generator=generator)
    return hidden, head, targets, torch.rand(ROWS, generator=generator, dtype=torch.float64)


def plain(hidden, head, targets, weight):
    return F.cross_entropy(head(hidden), targets, reduction="none") * weight


def gradients(loss, hidden, head, **options):
    return torch.autograd.grad(loss, [hidden, head.weight, head.bias], **options)


@pytest.mark.parametrize("reduction", [torch.sum, torch.mean])
def test_losses_and_gradients_in_parts_are_those_of_the_plain_one(in_parts, reduction):
    hidden, head, targets, weight = problem()
    expected, found = plain(hidden, head, targets, weight), weighted_cross_entropy(hidden, head, targets, weight)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for mine, other in zip(
        gradients(3 * reduction(found), hidden, head), gradients(3 * reduction(expected), hidden, head), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("outputs", [2, WIDTH])
def test_a_head_with_no_more_outputs_than_inputs_takes_any_shares_and_any_number_of_backward_passes(outputs):
    hidden, _, targets, weight = problem()
    head, targets, shares = nn.Linear(WIDTH, outputs, dtype=torch.float64), targets % outputs, torch.arange(ROWS)
    found = (weighted_cross_entropy(hidden, head, targets, weight) * shares).sum()
    expected = (plain(hidden, head, targets, weight) * shares).sum()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for _ in range(2):
        mine, other = (gradients(loss, hidden, head, retain_graph=True) for loss in (found, expected))
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_without_gradients_are_the_same_in_parts(in_parts, dtype):
    hidden, head, targets, weight = problem(dtype)
    with torch.no_grad():
        found = weighted_cross_entropy(hidden, head, targets, weight)
    torch.testing.assert_close(found, plain(hidden, head, targets, weight))


def test_large_logits_neither_overflow_nor_vanish(in_parts):
    hidden, head, targets, weight = problem(torch.float32)
    hidden = (1000 * hidden).detach().requires_grad_()
    found, expected = weighted_cross_entropy(hidden, head, targets, weight), plain(hidden, head, targets, weight)
    torch.testing.assert_close(found, expected)
    for mine, other in zip(gradients(found.sum(), hidden, head), gradients(expected.sum(), hidden, head), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation makes."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.largest = max(self.largest, out.numel())
        return out


@pytest.mark.parametrize("training", [True, False])
def test_logits_of_all_rows_are_never_held(in_parts, training):
    hidden, head, targets, weight = problem()
    with LargestTensor() as seen, torch.set_grad_enabled(training):
        loss = weighted_cross_entropy(hidden, head, targets, weight).sum()
        if training:
            loss.backward()
    assert seen.largest <= 7 * VOCABULARY


def test_unequal_shares_are_an_error(in_parts):
    hidden, head, targets, weight = problem()
    losses = weighted_cross_entropy(hidden, head, targets, weight)
    with pytest.raises(RuntimeError, match="equal shares"):
        (losses * torch.arange(ROWS)).sum().backward()


def test_a_loss_that_is_no_number_has_gradients_that_are_none(in_parts):
    hidden, head, targets, weight = problem()
    (weighted_cross_entropy(hidden, head, targets, weight) * torch.nan).sum().backward()
    assert hidden.grad.isnan().all()


def test_a_second_backward_pass_is_an_error(in_parts):
    loss = weighted_cross_entropy(*problem()).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="used up"):
        loss.backward()


def test_autocast_keeps_losses_and_weight_gradients_wide(in_parts):
    hidden, head, targets, weight = problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = weighted_cross_entropy(hidden, head, targets, weight)
    expected = plain(hidden, head, targets, weight)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.2)
    for mine, other in zip(gradients(found.sum(), hidden, head), gradients(expected.sum(), hidden, head), strict=True):
        assert mine.dtype == torch.float32
        assert F.cosine_similarity(mine.flatten(), other.flatten(), dim=0) > 0.999
