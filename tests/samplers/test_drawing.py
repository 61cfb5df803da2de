"""Draws at chosen positions: truncation, scores, and the tail."""

import math

import pytest
import torch
from torch import nn

from ladd.diffusion import heads
from ladd.diffusion.masked import fill
from ladd.diffusion.process import DrawSettings, Prediction
from ladd.samplers import drawing
from ladd.samplers.drawing import Truncation, confidence, draw_scored, log_margin, margin, negative_entropy, ranks

P = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.25, 0.25, 0.25, 0.25]], dtype=torch.float64)


def kept(truncation: Truncation) -> list[list[int]]:
    return [row.isfinite().nonzero()[:, 0].tolist() for row in truncation(P.log())]


@pytest.mark.parametrize(
    ("truncation", "tokens"),
    [
        (Truncation(), [[0, 1, 2, 3], [0, 1, 2, 3]]),
        (Truncation(top_p=0.7), [[0, 1], [0, 1, 2]]),  # 0.3 crosses 0.7 and is kept
        (Truncation(top_p=0.79), [[0, 1], [0, 1, 2, 3]]),
        (Truncation(top_p=0.85), [[0, 1, 2], [0, 1, 2, 3]]),
        (Truncation(top_p=1e-9), [[0], [0]]),  # of equal tokens the first
        (Truncation(min_p=0.2), [[0, 1, 2], [0, 1, 2, 3]]),
        (Truncation(min_p=0.999), [[0], [0, 1, 2, 3]]),
        (Truncation(top_p=0.55, min_p=0.2), [[0, 1], [0, 1, 2]]),
    ],
)
def test_truncation_keeps_the_crossing_token_and_never_nothing(truncation, tokens):
    assert kept(truncation) == tokens


def test_scores_are_what_their_names_say():
    log_p, x = P.log(), torch.tensor([1, 0])
    torch.testing.assert_close(confidence(log_p), torch.tensor([0.5, 0.25]).double().log())
    torch.testing.assert_close(margin(log_p), torch.tensor([0.2, 0.0]).double())
    torch.testing.assert_close(negative_entropy(log_p), (P * P.log()).sum(dim=1))
    torch.testing.assert_close(log_margin(log_p, x), torch.tensor([math.log(0.3 / 0.5), 0.0]).double())
    certain = torch.tensor([[0.0, -math.inf, -math.inf]], dtype=torch.float64)
    assert float(negative_entropy(certain)) == 0.0


def test_ranks_put_the_highest_first_and_the_first_of_equals():
    assert ranks(torch.tensor([[0.1, 0.7, 0.7, -math.inf]])).tolist() == [[2, 0, 1, 3]]


def scored(head: nn.Module, hidden: torch.Tensor, where: torch.Tensor, uniform: torch.Tensor, **options):
    rows = where.any(dim=1)
    prediction = Prediction(hidden if len(hidden) == 1 else hidden[rows], head, rows)
    return draw_scored(prediction, where, torch.zeros_like(where).long(), uniform, DrawSettings(0.7), **options)


@pytest.mark.parametrize("shared", [True, False])
def test_without_truncation_draws_are_those_of_fill_however_few_at_a_time(shared, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    head = nn.Linear(6, 11, dtype=torch.float64).requires_grad_(False)
    hidden = torch.randn(1 if shared else 5, 4, 6, generator=generator, dtype=torch.float64)
    where = torch.rand(5, 4, generator=generator) < 0.5
    where[2] = False
    uniform, state = torch.rand(5, 4, generator=generator, dtype=torch.float64), torch.zeros(5, 4, dtype=torch.long)
    rows = where.any(dim=1)
    prediction = Prediction(hidden if shared else hidden[rows], head, rows)
    expected = fill(state, where, prediction, uniform, DrawSettings(0.7))[where]
    first = scored(head, hidden, where, uniform, score=confidence)
    monkeypatch.setattr(heads, "LOGITS_AT_A_TIME", 25)
    parts = scored(head, hidden, where, uniform, score=confidence)
    assert torch.equal(first.tokens, expected)
    assert torch.equal(parts.tokens, expected)
    torch.testing.assert_close(parts.scores, first.scores)
    spread = hidden.expand(5, 4, 6)[where]
    torch.testing.assert_close(first.scores, (head(spread) / 0.7).log_softmax(dim=1).amax(dim=1))
    assert drawing.parts_of(int(where.sum()), 11) > 1


RARE = torch.tensor([1e-5, 1e-6, 1e-7], dtype=torch.float64)
DRAWS = 1_000_000


def rates(precision: str, law: bool) -> list[float]:
    """Hits of the last, rare tokens over those expected, from a million draws that all lie in the last 1e-4.

    Each rare token is hit 1000 times or more, where free draws would hit it never or once.
    """
    log_p = torch.cat([torch.log1p(-RARE.sum())[None], RARE.log()])
    draws = (torch.arange(DRAWS, dtype=torch.float64) + 0.5) / DRAWS
    where = torch.ones(1000, DRAWS // 1000, dtype=torch.bool)
    prediction = Prediction(log_p.expand(1, DRAWS // 1000, 4), nn.Identity(), where.any(dim=1))
    uniform = (1 - 1e-4 * draws).view(where.shape)
    same = (lambda mass, _: mass) if law else None
    settings = DrawSettings(precision=precision)
    x = draw_scored(prediction, where, torch.zeros_like(uniform).long(), uniform, settings, law=same).tokens
    return (x.bincount(minlength=4)[1:] / (RARE * DRAWS / 1e-4)).tolist()


@pytest.mark.parametrize("law", [True, False])
def test_float64_hits_rare_tokens_at_their_rate(law):
    assert rates("float64", law) == pytest.approx([1, 1, 1], abs=1e-3)


def test_float32_does_not():
    """Near 1 its numbers are 6e-8 apart, so 1e-5 is right to a percent, and 1e-7 by tens of per cent wrong."""
    first, _, last = rates("float32", False)
    assert first == pytest.approx(1, abs=0.02)
    assert abs(last - 1) > 0.1
