"""Unigram and bigram baselines: probabilities by hand."""

import math

import pytest
import torch

from ladd.tasks.text import references
from ladd.tasks.text.references import WEIGHTS, Bigram, Unigram, count_ngrams, fit_bigram

BLOCKS = torch.tensor([[0, 1, 1, 2], [0, 1, 2, 2]])  # V = 4: 3 never occurs
COUNTS = count_ngrams([BLOCKS[:1], BLOCKS[1:]], 4)
START = 4


def test_counts_by_hand():
    assert COUNTS.tokens.tolist() == [2, 3, 3, 0]
    pairs = {
        (pair // 4, pair % 4): count for pair, count in zip(COUNTS.pairs.tolist(), COUNTS.counts.tolist(), strict=True)
    }
    assert pairs == {(START, 0): 2, (0, 1): 2, (1, 1): 1, (1, 2): 2, (2, 2): 1}
    assert COUNTS.pairs.tolist() == sorted(COUNTS.pairs.tolist())


def test_unigram_adds_one_to_every_token():
    x = torch.tensor([[0, 1, 2, 3], [1, 1, 1, 1]])
    expected = [-sum(math.log(count / 12) for count in (3, 4, 4, 1)) / 4, -math.log(4 / 12)]
    assert Unigram(COUNTS).nll(x).tolist() == pytest.approx(expected)


def test_bigram_by_hand():
    # start 0: 2/2, 0 after 0: never, 1 after 0: 2/2, 3 after 1: never, 2 after 3: a context never seen
    x = torch.tensor([[0, 0, 1, 3, 2]])
    probabilities = [0.6 + 0.4 * 3 / 12, 0.4 * 3 / 12, 0.6 + 0.4 * 4 / 12, 0.4 * 1 / 12, 4 / 12]
    assert Bigram(COUNTS, 0.6).nll(x).tolist() == pytest.approx([-sum(map(math.log, probabilities)) / 5])


@pytest.mark.parametrize("model", [Unigram(COUNTS), Bigram(COUNTS, 0.7)])
def test_probabilities_of_all_sequences_sum_to_one(model):
    every = torch.cartesian_prod(*[torch.arange(4)] * 3)
    nll = model.nll(every)
    assert nll.dtype == torch.float64
    assert float(torch.exp(-3 * nll).sum()) == pytest.approx(1.0)


def test_first_token_that_never_changes_is_nearly_free():
    always = torch.cat([torch.zeros(500, 1, dtype=torch.long), torch.randint(1, 50, (500, 1))], dim=1)
    model = Bigram(count_ngrams([always], 50), 0.95)
    # 0.95 x 500/500 + 0.05 x 501/1050
    assert model.nll(always[:1, :1]).tolist() == pytest.approx([-math.log(0.95 + 0.05 * 501 / 1050)])


@pytest.mark.parametrize("buffer", [1, 50, 10_000])
def test_blocks_and_buffer_do_not_change_the_counts(monkeypatch, buffer):
    x = torch.randint(30, (100, 8), dtype=torch.int32)
    whole = count_ngrams([x], 30)
    monkeypatch.setattr(references, "BUFFER", buffer)
    parts = count_ngrams(x.split(7), 30)
    assert all(torch.equal(getattr(whole, name), getattr(parts, name)) for name in ("tokens", "pairs", "counts"))


def test_pairs_are_sparse_at_a_large_vocabulary():
    x = torch.randint(151_670, (50, 16))
    counts = count_ngrams([x], 151_670)  # a table would take 170 GiB
    assert len(counts.pairs) <= 50 * 16
    assert int(counts.counts.sum()) == 50 * 16
    assert Bigram(counts, 0.9).nll(x).max() < Unigram(counts).nll(x).min()


def markov(count: int, seed: int) -> torch.Tensor:
    """Sequences of a chain that stays with probability 0.7 and else jumps anywhere, V = 5."""
    generator = torch.Generator().manual_seed(seed)
    jumps = torch.randint(5, (count, 20), generator=generator)
    stays = torch.rand(count, 20, generator=generator) < 0.7
    x = jumps.clone()
    for place in range(1, 20):
        x[:, place] = torch.where(stays[:, place], x[:, place - 1], jumps[:, place])
    return x


def test_bigram_learns_a_chain():
    model = fit_bigram(count_ngrams([markov(2000, 0)], 5), markov(200, 1))
    stay, leave = 0.7 + 0.3 / 5, 0.3 / 5
    rate = -(stay * math.log(stay) + 4 * leave * math.log(leave))
    exact = (math.log(5) + 19 * rate) / 20
    values = model.nll(markov(2000, 2))
    assert abs(float(values.mean()) - exact) < 4 * float(values.std()) / 2000**0.5 + 0.005
    assert model.weight == 0.95


def test_weight_is_the_best_on_what_was_held_out():
    counts, held_out = count_ngrams([torch.randint(40, (12, 10))], 40), torch.randint(40, (50, 10))
    model = fit_bigram(counts, held_out)
    losses = {weight: float(Bigram(counts, weight).nll(held_out).mean()) for weight in WEIGHTS}
    assert model.weight == min(losses, key=losses.get)
    assert model.weight < 0.3  # tokens are independent: pairs say nothing
