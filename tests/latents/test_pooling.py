"""Pooling of token states: answers worked out by hand."""

import pytest
import torch

from ladd.latents.pooling import adaptive_keep_eos, adaptive_pool, align


def column(*values: float) -> torch.Tensor:
    """States of width 1, (1, S, 1)."""
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1)


def mask(*values: int) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.bool)


def pooled(function, states, valid, length) -> list[float]:
    return function(states, valid, length)[0, :, 0].tolist()


def test_token_of_rank_r_is_in_bin_floor_r_l_over_n():
    # n = 5, L = 2: bins 0 0 0 1 1 (2 * 2 / 5 = 0.8, 3 * 2 / 5 = 1.2)
    assert pooled(adaptive_pool, column(1, 2, 6, 10, 20), mask(1, 1, 1, 1, 1), 2) == [3.0, 15.0]
    # n = 4, L = 3: bins 0 0 1 2
    assert pooled(adaptive_pool, column(1, 3, 5, 7), mask(1, 1, 1, 1), 3) == [2.0, 5.0, 7.0]
    assert pooled(adaptive_pool, column(1, 3, 5, 7), mask(1, 1, 1, 1), 1) == [4.0]


def test_as_many_bins_as_tokens_return_the_states():
    states = torch.randn(2, 7, 3)
    torch.testing.assert_close(adaptive_pool(states, torch.ones(2, 7, dtype=torch.bool), 7), states)
    torch.testing.assert_close(adaptive_keep_eos(states, torch.ones(2, 7, dtype=torch.bool), 7), states)


def test_padding_and_gaps_do_not_count_and_rows_have_their_own_lengths():
    states = torch.cat([column(1, 100, 3, 5, 7, torch.nan), column(2, 4, 6, 8, 10, 12)])
    valid = torch.cat([mask(1, 0, 1, 1, 1, 0), mask(1, 1, 1, 1, 1, 1)])
    assert adaptive_pool(states, valid, 2)[..., 0].tolist() == [[2.0, 6.0], [4.0, 10.0]]


def test_empty_bins_repeat_the_one_before():
    # n = 2, L = 5: ranks 0, 1 go to bins 0 and 2
    assert pooled(adaptive_pool, column(3, 9), mask(1, 1), 5) == [3.0, 3.0, 9.0, 9.0, 9.0]


def test_last_token_stays_alone():
    # the 4 others fill 2 bins; the padding behind the last valid token is no token
    assert pooled(adaptive_keep_eos, column(1, 3, 5, 7, 50, 99), mask(1, 1, 1, 1, 1, 0), 3) == [2.0, 6.0, 50.0]
    assert pooled(adaptive_keep_eos, column(1, 3, 5), mask(1, 1, 1), 1) == [5.0]
    assert pooled(adaptive_keep_eos, column(1, 2, 5), mask(1, 1, 1), 5) == [1.0, 1.0, 2.0, 2.0, 5.0]


def test_single_token_fills_every_bin():
    assert pooled(adaptive_keep_eos, column(8, 4), mask(0, 1), 3) == [4.0, 4.0, 4.0]
    assert pooled(adaptive_pool, column(8, 4), mask(0, 1), 3) == [4.0, 4.0, 4.0]


@pytest.mark.parametrize("function", [adaptive_pool, adaptive_keep_eos])
def test_rows_without_tokens_are_zero(function):
    assert pooled(function, column(8, 4), mask(0, 0), 3) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("function", [adaptive_pool, adaptive_keep_eos])
def test_width_is_kept_and_rows_do_not_mix(function):
    states, valid = torch.randn(4, 9, 5), torch.rand(4, 9) < 0.7
    together = function(states, valid, 4)
    assert together.shape == (4, 4, 5)
    alone = torch.cat([function(states[i : i + 1], valid[i : i + 1], 4) for i in range(4)])
    torch.testing.assert_close(together, alone)


def aligned(states, valid, encoder_spans, token_spans) -> list[float]:
    spans = (torch.tensor([encoder_spans]), torch.tensor([token_spans]))
    return align(states, valid, *spans)[0, :, 0].tolist()


# "unhappy cats": the encoder reads [CLS] un happy cats [SEP] and one padding token
STATES, VALID = column(100, 1, 3, 5, 200, torch.nan), mask(1, 1, 1, 1, 1, 0)
SPANS = [[0, 0], [0, 2], [2, 7], [8, 12], [0, 0], [0, 0]]


def test_token_takes_the_mean_of_the_encoder_tokens_it_overlaps():
    # "unh" overlaps un and happy, "appy ca" overlaps happy and cats, "ts" cats alone
    assert aligned(STATES, VALID, SPANS, [[0, 3], [3, 10], [10, 12]]) == [2.0, 4.0, 5.0]


def test_neighbours_that_only_touch_do_not_overlap():
    assert aligned(STATES, VALID, SPANS, [[0, 2], [2, 7], [7, 12]]) == [1.0, 3.0, 5.0]


def test_frame_takes_the_first_and_the_last_state():
    assert aligned(STATES, VALID, SPANS, [[0, 0], [0, 7], [7, 12], [12, 12]]) == [100.0, 2.0, 5.0, 200.0]


def test_frame_of_an_encoder_without_special_tokens():
    assert aligned(column(1, 3, 5), mask(1, 1, 1), SPANS[1:4], [[0, 0], [0, 2], [2, 12], [12, 12]]) == [1, 1, 4, 5]


def test_space_and_separator_take_the_token_before():
    spans = [[0, 0], [0, 7], [7, 8], [8, 8], [8, 12], [12, 12]]
    assert aligned(STATES, VALID, SPANS, spans) == [100.0, 2.0, 3.0, 3.0, 5.0, 200.0]


@pytest.mark.parametrize("empty", [0, 7])
def test_separator_stands_where_the_text_got_to_whatever_its_empty_span_says(empty):
    assert aligned(STATES, VALID, SPANS, [[0, 7], [empty, empty], [8, 12]]) == [2.0, 3.0, 5.0]


def test_block_without_text_takes_the_first_state_and_then_the_last():
    states, valid, nothing = column(100, 200), mask(1, 1), [[0, 0], [0, 0]]
    assert aligned(states, valid, nothing, [[0, 0], [0, 0], [0, 0]]) == [100.0, 200.0, 200.0]


def test_left_padding_and_rows_of_their_own():
    states = torch.cat([column(torch.nan, 100, 1, 200), column(50, 2, 4, 60)])
    valid = torch.cat([mask(0, 1, 1, 1), mask(1, 1, 1, 1)])
    encoder_spans = torch.tensor([[[0, 0], [0, 0], [0, 4], [0, 0]], [[0, 0], [0, 1], [1, 2], [0, 0]]])
    token_spans = torch.tensor([[[0, 0], [0, 4], [4, 4]], [[0, 0], [0, 2], [2, 2]]])
    assert align(states, valid, encoder_spans, token_spans)[..., 0].tolist() == [[100, 1, 200], [50, 3, 60]]


def test_alignment_of_a_row_without_encoder_tokens_is_zero():
    assert aligned(column(torch.nan, 9), mask(0, 0), [[0, 0], [0, 0]], [[0, 0], [0, 0]]) == [0.0, 0.0]
