"""Samples that the page shows: the first ones, cut where given tokens meet drawn ones."""

from __future__ import annotations

import torch

from ladd.config import SweepPoint
from ladd.stages.measure import shown_samples
from ladd.tasks.base import SHOWN

POINT = SweepPoint(token_steps=4, temperature=0.5)


class Letters:
    """Token i is the i-th letter."""

    def decode(self, ids: list[int]) -> str:
        return "".join(chr(ord("a") + token) for token in ids)


def show(x: list[list[int]], given: list[list[bool]] | None = None) -> dict:
    return shown_samples(POINT, torch.tensor(x), None if given is None else torch.tensor(given), Letters())


def test_point_of_the_sweep_is_named():
    entry = show([[0, 1]])
    assert (entry["token_steps"], entry["temperature"]) == (4, 0.5)
    assert entry.keys() == {"token_steps", "temperature", "items"}


def test_sample_without_given_tokens_is_one_run():
    assert show([[0, 1, 2], [2, 2, 0]])["items"] == [[["abc", False]], [["cca", False]]]


def test_runs_alternate_from_left_to_right_and_lose_no_token():
    given = [[True, True, False, True, False, False], [False, True, True, True, True, False]]
    items = show([[0, 1, 2, 3, 4, 5]] * 2, given)["items"]
    assert items == [
        [["ab", True], ["c", False], ["d", True], ["ef", False]],
        [["a", False], ["bcde", True], ["f", False]],
    ]


def test_row_that_is_all_given_is_one_run():
    assert show([[0, 1]], [[True, True]])["items"] == [[["ab", True]]]


def test_the_first_samples_are_shown_and_no_more():
    x = [[row] for row in range(SHOWN + 3)]
    assert [item[0][0] for item in show(x)["items"]] == ["a", "b", "c", "d"]
    assert len(show(x[:2])["items"]) == 2
