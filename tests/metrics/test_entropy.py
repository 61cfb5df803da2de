"""Entropies and distinct n-grams of hand-made sets."""

import math

import pytest
import torch

from ladd.metrics.distinct import content_tokens, distinct_n
from ladd.metrics.entropy import positional_entropy, sequence_entropy

QUARTER = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))


def test_positions_that_agree_have_no_positional_entropy():
    x = torch.tensor([[0, 1, 2, 3]] * 5)
    assert positional_entropy(x) == 0.0
    assert sequence_entropy(x).tolist() == pytest.approx([math.log(4)] * 5)


def test_sequences_of_one_symbol_have_no_sequence_entropy():
    x = torch.tensor([[0] * 4, [1] * 4, [2] * 4])
    assert positional_entropy(x) == pytest.approx(math.log(3))
    assert sequence_entropy(x).tolist() == [0.0] * 3


def test_entropies_are_in_nats_of_the_counts():
    x = torch.tensor([[0, 0, 0, 1], [1, 0, 2, 1]], dtype=torch.uint8)
    assert sequence_entropy(x).tolist() == pytest.approx([QUARTER, 1.5 * math.log(2)])
    assert positional_entropy(x) == pytest.approx((2 * math.log(2)) / 4)


def test_entropies_are_those_of_dense_counts():
    x = torch.randint(7, (20, 30))

    def entropy(counts: torch.Tensor) -> torch.Tensor:
        shares = counts / counts.sum(dim=-1, keepdim=True)
        return -torch.special.xlogy(shares, shares).sum(dim=-1)

    dense = torch.nn.functional.one_hot(x, 7).double()
    torch.testing.assert_close(sequence_entropy(x), entropy(dense.sum(dim=1)))
    assert positional_entropy(x) == pytest.approx(float(entropy(dense.sum(dim=0)).mean()))


def test_large_vocabularies_take_the_room_of_the_tokens_alone():
    x = torch.randint(2, (512, 128)) * 151_668  # dense counts would take 80 GB
    small = x // 151_668
    assert torch.equal(sequence_entropy(x), sequence_entropy(small))
    assert positional_entropy(x) == positional_entropy(small)


def test_omitted_ids_are_no_content():
    x = torch.tensor([[8, 0, 0, 0, 1, 9], [8, 1, 9, 9, 9, 9], [8, 9, 9, 9, 9, 9]])
    assert sequence_entropy(x, (8, 9)).tolist() == pytest.approx([QUARTER, 0.0, 0.0])
    # Position 1 has 0 and 1, positions 2 to 4 one value, the first and the last have no content.
    assert positional_entropy(x, (8, 9)) == pytest.approx(math.log(2) / 4)
    assert content_tokens(x, (8, 9)) == [[0, 0, 0, 1], [1], []]


def test_distinct_ngrams_by_hand():
    # a b a b | b a c: pairs ab ba ab ba ac, of which ab ba ac differ
    texts = [[0, 1, 0, 1], [1, 0, 2]]
    assert distinct_n(texts, 1).value == pytest.approx(3 / 7)
    assert distinct_n(texts, 2).value == pytest.approx(3 / 5)
    assert distinct_n(texts, 3).value == pytest.approx(3 / 3)
    assert distinct_n(texts, 4).value == 1.0
    assert distinct_n(texts, 2).n == 2


def test_distinct_error_is_the_jackknife_by_hand():
    texts = [[0, 1, 0, 1], [1, 0, 2], [3, 3]]
    # Without each: {ba, ac, dd} / 3, {ab, ba, dd} / 4, {ab, ba, ac} / 5
    without = [1.0, 0.75, 0.6]
    mean = sum(without) / 3
    variance = sum((value - mean) ** 2 for value in without) * 2 / 3
    assert distinct_n(texts, 2).stderr == pytest.approx(variance**0.5)


def test_distinct_error_is_near_that_of_fresh_sets_and_not_below():
    generator = torch.Generator().manual_seed(0)
    law = 1 / torch.arange(1, 51, dtype=torch.float64)
    sets = torch.multinomial(law, 200 * 60 * 10, replacement=True, generator=generator).reshape(200, 60, 10)
    results = [distinct_n(x, 2) for x in sets]
    spread = float(torch.tensor([result.value for result in results]).std())
    error = sum(result.stderr for result in results) / len(results)
    assert 0.95 * spread < error < 2 * spread


def test_distinct_ratio_falls_as_sequences_are_added():
    x = torch.randint(20, (200, 30))
    assert distinct_n(x, 2).value < distinct_n(x[:50], 2).value < distinct_n(x[:10], 2).value


def test_order_of_sequences_does_not_matter():
    x = torch.randint(9, (40, 12))
    assert distinct_n(x, 2) == pytest.approx(distinct_n(x.flip(0), 2), rel=1e-12)


def test_no_ngram_at_all_is_refused():
    with pytest.raises(ValueError, match="none of 2 sequences has 3 tokens"):
        distinct_n([[0, 1], []], 3)
