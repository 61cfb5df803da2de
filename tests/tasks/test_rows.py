"""Short strings, one per row: from files to padded rows and back, and what is measured of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ladd.config import load_suite
from ladd.config.suite import check_suite
from ladd.errors import ConfigError
from ladd.evaluation.rows import Row
from ladd.generation.data import sequences
from ladd.metrics.base import Samples, Values, metric_of
from ladd.tasks import task_of
from ladd.tasks.rows import GAP, Rows
from ladd.tasks.rows.build import padded
from ladd.tasks.text.own import END, UNKNOWN, train_characters

REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = ["ab", "ba", "abc", "cab", "c", "bb"] * 20
CHARACTERS = 5  # a, b, c, the end and the unknown one


def values(folder: Path, **changes) -> dict:
    """A suite without models on a file of lines."""
    data = {
        "kind": "rows",
        "tokens": 4,
        "tokenizer": {"kind": "character", "vocabulary": CHARACTERS},
        "train": {"asset": {"source": "path", "name": str(folder)}, "files": "words.txt", "format": "lines"},
        "validation": 0.2,
    }
    return {
        "root": str(REPOSITORY),
        "suite": "words",
        "seed": 1,
        "compute": {"device": "cpu", "threads": 1},
        "data": {"words": data | changes},
        "sweeps": {},
        "evaluation": {
            "kind": "rows",
            "time_draws": 2,
            "sequences": 20,
            "batch": 20,
            "reference": {"samples": 5, "seeds": [0, 1]},
        },
    }


@pytest.fixture
def make(tmp_path, monkeypatch):
    """The task on some lines, built."""
    monkeypatch.chdir(tmp_path)

    def build(lines=WORDS, **changes) -> Rows:
        Path("words.txt").write_text("\n".join(lines) + "\n")
        task = task_of(check_suite(values(tmp_path, **changes), "params.yaml"), "words")
        task.folder.mkdir(parents=True)
        task.build(task.folder)
        return task

    return build


def test_every_string_is_in_one_split_and_comes_back(make):
    task = make()
    splits = {split: task.texts(task.rows(split)[:].long()) for split in ("train", "validation")}
    assert sorted(splits["train"] + splits["validation"]) == sorted(WORDS)
    assert len(splits["validation"]) == len(WORDS) // 5


def test_padding_is_the_end_of_the_tokenizer_up_to_n(make):
    task = make()
    assert task.sequences(["ab", "c"]).tolist() == [[*task.encode("ab"), 0, 0], [*task.encode("c"), 0, 0, 0]]
    assert task.end == 0
    assert task.tokenizer.backend.id_to_token(0) == END


def test_padding_within_a_row_shows_and_the_mask_does_not(make):
    task = make()
    a, b, end, mask = *task.encode("ab"), task.end, CHARACTERS
    assert task.decode([a, end, b, end]) == f"a{GAP}b"
    assert task.decode([end, end, b, end]) == f"{GAP}{GAP}b"
    assert task.decode([a, mask, b, end]) == "ab"
    assert task.decode([end] * 4) == ""


@pytest.mark.parametrize("text", ["", "abcab"])
def test_strings_that_are_no_row_are_refused(make, text):
    with pytest.raises(ConfigError, match=r"data: string 1, .*each must have 1 to N = 4"):
        make().sequences(["a", text])


def test_strings_are_rows_for_bounds(make):
    """`Model.bound(["ab"])` of the Python interface takes them so."""
    task = make()
    assert sequences(task, ["ab", "cab"]).tolist() == task.sequences(["ab", "cab"]).tolist()


def test_long_strings_are_an_error_or_left_out(make, tmp_path):
    with pytest.raises(ConfigError, match=r"data.words.tokens: 4, but 1 of \d+ strings are longer, up to 5 tokens"):
        make([*WORDS, "aaaaa"] + ["bb"] * 4)
    [folder] = tmp_path.glob("artifacts/data/words")
    folder.rename(tmp_path / "other")
    task = make([*WORDS, "aaaaa"], longer="drop")
    assert len(task.rows("train")) + len(task.rows("validation")) == len(WORDS)


def test_wrong_vocabulary_is_refused_with_the_right_one(make):
    with pytest.raises(ConfigError, match=r"data.words.tokenizer.vocabulary: 9, but the tokenizer has 5 ids"):
        make(tokenizer={"kind": "character", "vocabulary": 9})


def test_characters_are_one_token_each_whatever_they_are():
    tokenizer = train_characters(["a\n", "é\U0001f600 a"])
    assert tokenizer.vocabulary == 7
    (ids,) = tokenizer.encode(["\n \U0001f600éa"])
    assert len(ids) == 5
    assert tokenizer.decode(ids) == "\n \U0001f600éa"
    assert tokenizer.decode(tokenizer.encode(["axa"])[0]) == f"a{UNKNOWN}a"
    assert (tokenizer.bos, tokenizer.eos) == (0, 0)
    (spelled,) = train_characters([END]).encode([END])
    assert len(spelled) == len(END)  # text cannot forge an end


def metric(name: str, task: Rows, texts_or_rows, index: int = 0):
    x = task.sequences(texts_or_rows) if isinstance(texts_or_rows[0], str) else torch.tensor(texts_or_rows)
    return metric_of(name, {}, "evaluation.metrics").measure(Samples(task, x, index))


def test_metrics_of_hand_made_samples(make):
    task = make()
    a, end = task.encode("a")[0], task.end
    rows = [[a, end, end, end], [a, end, a, end], [end] * 4, [a, end, end, end]]
    assert metric("broken_rows", task, rows).value == 0.5
    assert metric("different_rows", task, rows).value == 0.75
    assert metric("new_rows", task, ["ab", "abc", "aaa", "ccc"]).value == 0.5
    # The real lengths are known: as many samples of one token each are their mean less 1 away.
    real = task.compared(0, 4)
    lengths = (real != end).sum(dim=1).double()
    assert metric("row_length", task, ["a"] * 4).value == pytest.approx(float((lengths - 1).mean()))


def test_distance_of_trigrams_is_0_of_the_same_and_1_of_others(make):
    task = make()
    real = task.compared(0, 5)
    assert metric("gram_distance", task, real.tolist()).value == 0
    assert metric("gram_distance", task, ["aaaa"] * 5).value == pytest.approx(1)
    assert metric("gram_distance", task, [[task.end] * 4] * 5).value == 1
    # Half of the rows are real ones: each row weighs by its trigrams, which are as many as its tokens.
    mixed = torch.cat([real[:1], task.sequences(["aaaa"])])
    count = int((real[:1] != task.end).sum())
    samples = Samples(task, mixed, 0)
    samples.real = real[:1]
    found = metric_of("gram_distance", {}, "").measure(samples).value
    assert found == pytest.approx(4 / (count + 4))


def test_metrics_of_rows_refuse_other_tasks(make):
    class Other:
        special = ()

    with pytest.raises(ConfigError, match="Other has no string per row"):
        metric_of("new_rows", {}, "").measure(Samples(Other(), torch.zeros(1, 4, dtype=torch.long), 0))


def test_references_have_the_known_nats_and_real_rows(make, tmp_path):
    """Of one string alone, repeated, each position is certain but for smoothing; of real data all rows are whole."""
    task = make()
    row = Row(suite="words", model="", family="", schedule="none")
    rows, shown = task.reference_rows(row, Values(tmp_path / "values", {}))
    found = {(each.model, each.metric, each.seed): each for each in rows}
    counts = np.bincount(task.rows("train")[:-4].long().flatten().numpy(), minlength=CHARACTERS) + 1
    x = task.held_out("validation", 20).tokens
    expected = -np.log(counts / counts.sum())[x.numpy()].mean()
    unigram = found["unigram-words", "token_elbo", None]
    assert unigram.value == pytest.approx(expected)
    assert found["bigram-words", "token_elbo", None].value < unigram.value < math.log(CHARACTERS)
    assert {found["real-words", "broken_rows", seed].value for seed in (0, 1)} == {0}
    assert {text for item in shown[0]["items"] for text, _ in item} <= set(WORDS)


def test_padded_rows_keep_their_ids():
    assert padded([[3, 4], [5]], 3, 9).tolist() == [[3, 4, 9], [5, 9, 9]]


def test_starter_is_a_whole_suite(tmp_path, monkeypatch):
    """With what a suite of one's own adds to it."""
    folder = REPOSITORY / "ladd/starters"
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    own = values(tmp_path)["data"]["words"]
    for name in ("rows", "text"):
        data = {name: each for name, each in own.items() if name != "kind"}
        lines = [
            f"extends: {Path('../' * len(tmp_path.parts[1:])) / folder.relative_to('/') / name}.yaml",
            "suite: own",
            f"data: {{own: {str(data | {'tokens': 16}).replace(chr(39), '')}}}",
            "defaults: {latents: {training: {steps: 100}}, baselines: {training: {steps: 50}}, "
            "models: {training: {steps: 50}}}",
            "sweeps: {ar: {token_steps: [16]}}",
            "evaluation: {reference: {samples: 8}}",
        ]
        (tmp_path / "params.yaml").write_text("\n".join(lines))
        suite = load_suite(tmp_path / "params.yaml")
        assert set(suite.sweeps) == {"ar", "mdlm", "di-seq"}
        assert suite.data["own"].task is type(task_of(suite, "own"))
