"""Perplexities and their errors: by hand, and against resampling."""

import math

import pytest
import torch

from ladd.evaluation.estimate import perplexity
from ladd.evaluation.teacher import TeacherScores
from ladd.metrics.gen_ppl import gen_ppl


def scores(nll: list[float], tokens: list[int]) -> TeacherScores:
    return TeacherScores(
        torch.tensor(nll, dtype=torch.float64), torch.tensor(tokens), torch.zeros(len(nll), dtype=torch.bool)
    )


def test_perplexity_is_that_of_the_mean_and_not_the_mean_of_perplexities():
    value, stderr, n = perplexity(torch.tensor([math.log(2), math.log(8)]).double())
    assert value == pytest.approx(4.0)
    assert stderr == pytest.approx(4 * math.log(2))  # deviations of log 2 each: log 2 sqrt(2) / sqrt(2)
    assert n == 2


def test_generative_perplexity_weighs_texts_by_their_tokens():
    value, stderr, n = gen_ppl(scores([3 * math.log(2), 1 * math.log(32)], [3, 1]))
    assert value == pytest.approx(4.0)  # 8 log 2 nats over 4 tokens
    # residuals 3 log 2 - 3 log 4 and log 32 - log 4: squares sum to 18 log(2)^2, times n / (n - 1) = 2, over 4 tokens
    assert stderr == pytest.approx(4.0 * math.log(2) * 6 / 4)
    assert n == 2


def test_texts_without_tokens_change_nothing():
    full = gen_ppl(scores([6.0, 5.0, 9.0], [3, 2, 3]))
    assert gen_ppl(scores([6.0, 0.0, 5.0, 9.0, 0.0], [3, 0, 2, 3, 0])) == full


def test_a_single_text_has_a_value_and_no_known_error():
    value, stderr, n = gen_ppl(scores([2.0, 0.0], [2, 0]))
    assert (value, n) == (pytest.approx(math.e), 1)
    assert math.isnan(stderr)


def test_texts_that_are_all_empty_are_refused():
    with pytest.raises(ValueError, match="none of 2 texts"):
        gen_ppl(scores([0.0, 0.0], [0, 0]))


def varied(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts of 5 to 60 tokens, whose long ones are easier."""
    tokens = torch.randint(5, 61, (count,), generator=generator)
    noise = torch.rand(count, generator=generator, dtype=torch.float64)
    return tokens * (3 + noise - tokens / 60), tokens


def test_errors_are_those_of_a_bootstrap():
    generator = torch.Generator().manual_seed(1)
    nll, tokens = varied(400, generator)
    draws = torch.randint(400, (4000, 400), generator=generator)
    generative = torch.exp(nll[draws].sum(dim=1) / tokens[draws].sum(dim=1))
    assert gen_ppl(scores(nll.tolist(), tokens.tolist())).stderr == pytest.approx(float(generative.std()), rel=0.06)
    validation = torch.exp((nll / tokens)[draws].mean(dim=1))
    assert perplexity(nll / tokens).stderr == pytest.approx(float(validation.std()), rel=0.06)


def test_error_of_a_ratio_covers_its_truth():
    generator = torch.Generator().manual_seed(2)
    nll, tokens = varied(200_000, generator)
    truth = math.exp(float(nll.sum() / tokens.sum()))
    estimates = [
        gen_ppl(scores(part.tolist(), size.tolist()))
        for part, size in zip(nll.split(500), tokens.split(500), strict=True)
    ]
    distances = torch.tensor([(value - truth) / stderr for value, stderr, _ in estimates])
    assert float(distances.std()) == pytest.approx(1.0, abs=0.12)
    assert abs(float(distances.mean())) < 0.2
