"""Real sequences are disjoint between seeds; given positions are the same number on every row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ladd.config import GivenConfig, Suite
from ladd.data.shards import write_shards
from ladd.errors import ConfigError
from ladd.stages import sample
from ladd.tasks import task_of
from ladd.tasks.base import USES
from tests.builders import suite_values, text_suite_values

COUNT, TOKENS = 20, 16


def numbered(folder: str, count: int, tokens: int, vocabulary: int) -> torch.Tensor:
    """Write sequences that are told apart by their first token, in shards of six."""
    x = torch.zeros(count, tokens, dtype=torch.int64)
    x[:, 0] = torch.arange(count) % vocabulary
    write_shards(Path(folder), [x.numpy()], tokens=tokens, vocabulary=vocabulary, shard=6)
    return x


@pytest.fixture
def text(tmp_path, monkeypatch) -> Suite:
    """A text suite whose validation split is numbered; nothing else of it is there."""
    monkeypatch.chdir(tmp_path)
    numbered("artifacts/data/text/validation", COUNT, TOKENS, 290)
    return Suite.model_validate(text_suite_values())


def first_tokens(suite: Suite, use: str, index: int, count: int) -> list[int]:
    chunk = task_of(suite, "text").real(use, index, count)
    assert (chunk.dtype, chunk.shape) == (torch.int64, (count, TOKENS))
    return chunk[:, 0].tolist()


def test_sets_of_text_are_disjoint_and_use_the_whole_split(text):
    sets = [first_tokens(text, use, seed, 3) for use in USES for seed in range(2)]
    tokens = [token for chunk in sets for token in chunk]
    assert len(set(tokens)) == len(tokens) == 18
    whole = [token for use in ("compared", "floor") for seed in range(2) for token in first_tokens(text, use, seed, 5)]
    assert sorted(whole) == list(range(COUNT))


def test_text_comes_from_all_over_the_split_and_not_in_order(text):
    # Neighbouring blocks are of one document.
    for index in range(2):
        chunk = first_tokens(text, "compared", index, 10)
        assert chunk != sorted(chunk)
        assert min(chunk) < 5
        assert max(chunk) >= 15


def test_sets_of_text_depend_on_the_seed_of_the_suite_alone(text):
    other = Suite.model_validate(text_suite_values() | {"seed": 2})
    assert first_tokens(text, "floor", 1, 5) == first_tokens(text, "floor", 1, 5)
    assert first_tokens(text, "floor", 1, 5) != first_tokens(other, "floor", 1, 5)


def test_larger_sets_begin_with_the_smaller_ones(text):
    assert first_tokens(text, "compared", 0, 10)[:5] == first_tokens(text, "compared", 0, 5)


def test_sawtooth_has_a_split_of_its_own_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = numbered("artifacts/data/saw/reference", 12, 8, 2)
    suite = Suite.model_validate(suite_values())
    assert torch.equal(task_of(suite, "saw").real("compared", 1, 3), x[3:6])
    assert torch.equal(task_of(suite, "saw").real("floor", 0, 3), x[6:9])


def test_too_few_real_sequences_are_an_error_that_says_how_many_there_are(text):
    assert len(first_tokens(text, "compared", 1, 10)) == 10
    with pytest.raises(
        ConfigError, match=r"evaluation.reference.samples: .* need 30 real .*data\.text has only 20; lower"
    ):
        task_of(text, "text").real("floor", 0, 10)


@pytest.mark.parametrize(("given", "needed"), [(True, 3 * 2 * 8), (False, 2 * 2 * 8)])
def test_sampling_is_refused_before_it_starts_where_the_split_is_too_small(tmp_path, monkeypatch, given, needed):
    monkeypatch.chdir(tmp_path)
    values = text_suite_values()
    values["sweeps"] = {key: sweep for key, sweep in values["sweeps"].items() if given or sweep["given"] is None}
    suite = Suite.model_validate(values)
    numbered("artifacts/data/text/validation", needed, TOKENS, 290)
    task_of(suite, "text").check_real()
    numbered("artifacts/data/text/validation", needed - 1, TOKENS, 290)
    message = rf"8 samples x 2 seeds need {needed} real .*has only {needed - 1}; .*\(data\.text\.validation\)"
    with pytest.raises(ConfigError, match=message):
        sample.main(SimpleNamespace(suite=suite, key="mdlm"))


@pytest.mark.parametrize(
    ("share", "kept"),
    [(0.25, 4), (0.5, 8), (0.01, 1), (0.99, 16), (0.1, 2)],  # rounded, at least one
)
@pytest.mark.parametrize("kind", ["prefix", "random"])
def test_as_many_positions_are_given_on_every_row(text, kind, share, kept):
    given = task_of(text, "text").given_positions(GivenConfig(kind=kind, share=share), 0, 30)
    assert (given.dtype, given.shape) == (torch.bool, (30, TOKENS))
    assert (given.sum(dim=1) == kept).all()


def test_prefix_is_the_first_positions(text):
    given = task_of(text, "text").given_positions(GivenConfig(kind="prefix", share=0.25), 0, 3)
    assert given.tolist() == [[True] * 4 + [False] * 12] * 3


def test_random_positions_differ_between_rows_and_seeds_and_are_even(text):
    config = GivenConfig(kind="random", share=0.25)
    given = task_of(text, "text").given_positions(config, 0, 2000)
    assert len(given[:50].unique(dim=0)) > 40
    # Each position has probability 1/4; 5 standard errors of 2,000 rows.
    assert ((given.double().mean(dim=0) - 0.25).abs() < 5 * (0.25 * 0.75 / 2000) ** 0.5).all()
    assert not torch.equal(given, task_of(text, "text").given_positions(config, 1, 2000))


def test_positions_of_a_row_do_not_depend_on_how_many_rows_there_are(text):
    config = GivenConfig(kind="random", share=0.5)
    few, many = (task_of(text, "text").given_positions(config, 3, count) for count in (5, 50))
    assert torch.equal(few, many[:5])
