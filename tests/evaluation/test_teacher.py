"""The teacher's scores: a table of known answers, then small transformers from local files."""

import itertools
import math
import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.errors import ArtifactError, ConfigError
from ladd.evaluation.teacher import Teacher, quiet_transformers
from tests.evaluation.tiny_teacher import CONTEXT, SEPARATOR, VOCABULARY, byte_tokenizer, write_folder, write_gguf

A, B = VOCABULARY.index("a"), VOCABULARY.index("b")
TEXTS = ["the cat\n\n12", "", "a", "dogs and the other, the longest of all of these", "b a", "", "the the the the"]


class Table(nn.Module):
    """Logits depend on the token before alone: a known answer."""

    def __init__(self, context: int = CONTEXT):
        super().__init__()
        self.logits = torch.randn(len(VOCABULARY), len(VOCABULARY), generator=torch.Generator().manual_seed(0))
        self.config = SimpleNamespace(max_position_embeddings=context)
        self.shapes: list[tuple[int, ...]] = []

    def nll(self, *path: int) -> float:
        log_probabilities = self.logits.double().log_softmax(dim=-1)
        return -sum(float(log_probabilities[a, b]) for a, b in itertools.pairwise(path))

    def forward(self, input_ids, attention_mask, use_cache):
        assert not use_cache
        self.shapes.append(tuple(input_ids.shape))
        return SimpleNamespace(logits=self.logits[input_ids])


def teacher(table: Table, *, lead: int | None = 0, batch: int = 4, window: int = 20) -> Teacher:
    return Teacher(table, byte_tokenizer(), lead, device="cpu", batch=batch, window=window)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher")
    write_folder(path)
    return path


def test_scores_are_sums_over_tokens_from_the_first_on():
    table = Table()
    scores = teacher(table).score(["ab", "", "b"])
    assert scores.nll.dtype == torch.float64
    assert scores.nll.tolist() == pytest.approx([table.nll(0, A, B), 0.0, table.nll(0, B)], rel=1e-5)
    assert scores.tokens.tolist() == [2, 0, 1]
    assert scores.truncated.tolist() == [False] * 3


def test_without_a_token_in_front_the_first_is_not_scored():
    table = Table()
    scores = teacher(table, lead=None).score(["aab", "", "b"])
    assert scores.nll.tolist() == pytest.approx([table.nll(A, A, B), 0.0, 0.0], rel=1e-5)
    assert scores.tokens.tolist() == [2, 0, 0]


def test_window_scores_the_beginning_and_says_so():
    table = Table()
    scores = teacher(table, window=3).score(["aabbb", "aab", "ab"])
    assert scores.nll.tolist() == pytest.approx(
        [table.nll(0, A, A, B), table.nll(0, A, A, B), table.nll(0, A, B)], rel=1e-5
    )
    assert scores.tokens.tolist() == [3, 3, 2]
    assert scores.truncated.tolist() == [True, False, False]


def test_special_tokens_in_a_text_are_text():
    scores = teacher(Table()).score([SEPARATOR])
    assert scores.tokens.tolist() == [len(SEPARATOR) - 1]  # "<|" is one token


def test_texts_of_like_length_share_a_batch():
    table = Table()
    teacher(table, batch=2).score(["a" * 9, "b", "a" * 8, "", "ab"])
    assert table.shapes == [(2, 3), (2, 10)]


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_nothing_to_score_needs_no_network(texts):
    table = Table()
    scores = teacher(table).score(texts)
    assert scores.nll.tolist() == scores.tokens.tolist() == [0] * len(texts)
    assert len(scores.truncated) == len(texts)
    assert not table.shapes


@pytest.mark.parametrize(("lead", "window"), [(0, CONTEXT), (None, CONTEXT + 1)])
def test_window_beyond_the_context_is_refused(lead, window):
    with pytest.raises(ConfigError, match=f"at most {window - 1}"):
        teacher(Table(), lead=lead, window=window)
    teacher(Table(), lead=lead, window=window - 1)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_scores_do_not_depend_on_batch_and_order(folder, batch):
    one = Teacher.load(folder, device="cpu", batch=1, window=40).score(TEXTS)
    batched = Teacher.load(folder, device="cpu", batch=batch, window=40)
    order = [3, 1, 0, 6, 5, 2, 4]
    scores = batched.score([TEXTS[place] for place in order])
    torch.testing.assert_close(scores.nll, one.nll[order], rtol=1e-5, atol=1e-5)
    assert torch.equal(scores.tokens, one.tokens[order])
    assert torch.equal(scores.truncated, one.truncated[order])


def test_scores_are_those_of_the_network_alone(folder):
    loaded = Teacher.load(folder, device="cpu", batch=8, window=CONTEXT - 1)
    ids = torch.tensor([[0, *(VOCABULARY.index(token) for token in ("the", "Ġ", "c", "a", "t"))]])
    with torch.no_grad():
        log_probabilities = loaded.network(ids).logits.double().log_softmax(dim=-1)
    expected = -sum(float(log_probabilities[0, place, ids[0, place + 1]]) for place in range(5))
    scores = loaded.score(["the cat", *TEXTS])
    assert int(scores.tokens[0]) == 5
    assert float(scores.nll[0]) == pytest.approx(expected, rel=1e-5)
    assert expected > 2 * math.log(len(VOCABULARY))


def test_network_is_in_float32_and_does_not_train(folder):
    loaded = Teacher.load(folder, device="cpu", batch=1, window=8)
    assert not loaded.network.training
    assert {parameter.dtype for parameter in loaded.network.parameters()} == {torch.float32}


@pytest.mark.parametrize(("pre_tokenizer", "tokens"), [("smollm", 3), ("gpt-2", 4)])
def test_gguf_file_splits_digits_where_it_says_so(tmp_path, pre_tokenizer, tokens):
    write_gguf(tmp_path / "tiny.gguf", pre_tokenizer)
    loaded = Teacher.load(tmp_path / "tiny.gguf", device="cpu", batch=2, window=20)
    # Split first, the two line ends are one token; else the second of them goes with the digits.
    scores = loaded.score(["\n\n12", "the"])
    assert scores.tokens.tolist() == [tokens, 1]
    assert scores.nll.isfinite().all()
    assert loaded.lead == [0]
    assert {parameter.dtype for parameter in loaded.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("pre_tokenizer", ["llama-bpe", None])
def test_gguf_file_of_an_unknown_pre_tokenizer_is_refused(tmp_path, pre_tokenizer):
    write_gguf(tmp_path / "tiny.gguf", pre_tokenizer)
    with pytest.raises(ArtifactError, match=rf"tiny\.gguf names the pre-tokenizer {pre_tokenizer!r}.*smollm"):
        Teacher.load(tmp_path / "tiny.gguf", device="cpu", batch=2, window=20)


@pytest.mark.parametrize("name", ["", "other.gguf", "folder"])
def test_missing_files_are_named(tmp_path, name):
    with pytest.raises(ArtifactError, match=re.escape(f"teacher: {tmp_path / name} is neither")):
        Teacher.load(tmp_path / name, device="cpu", batch=2)


def cut(path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_cut_files_are_one_line_with_file_and_remedy(tmp_path, share):
    write_gguf(tmp_path / "tiny.gguf", "gpt-2")
    write_folder(tmp_path / "tiny")
    cut(tmp_path / "tiny.gguf", share)
    cut(tmp_path / "tiny/model.safetensors", share)
    for name in ("tiny.gguf", "tiny"):
        with pytest.raises(ArtifactError) as caught:
            Teacher.load(tmp_path / name, device="cpu", batch=2, window=20)
        assert str(caught.value).startswith(f"teacher: {tmp_path / name} cannot be read (")
        assert "fetch it again" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_quiet_is_over_at_the_end_even_of_an_error():
    from transformers.utils import logging

    def state() -> tuple[int, bool]:
        return logging.get_verbosity(), logging.is_progress_bar_enabled()

    before, inside = state(), []

    def fail() -> None:
        with quiet_transformers():
            inside.append(state())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert inside == [(logging.ERROR, False)]
    assert state() == before != inside[0]
