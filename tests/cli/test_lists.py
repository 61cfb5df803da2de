"""Lists between commas."""

import pytest

from ladd.cli.arguments import names, wholes


def test_words_are_split_at_commas_and_trimmed():
    assert names("L, K,schedule") == ["L", "K", "schedule"]
    assert names(" ,") == []


def test_numbers_are_whole():
    assert wholes("1,4") == [1, 4]
    with pytest.raises(ValueError, match="invalid literal"):
        wholes("1,x")
