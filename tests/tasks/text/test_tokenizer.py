"""Training, loading, special tokens, and offsets."""

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from ladd.errors import ArtifactError, ConfigError
from ladd.files import file_hash
from ladd.tasks.text.tokenizer import Tokenizer, cut
from tests.tasks.text.builders import SENTENCES, byte_level_backend, trained, word_piece_backend

HARD = [
    "",
    " ",
    "\n\n a",
    *SENTENCES,
    "caf\u00e9 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u4f60\u597d\ufffd",
    "<|eos|> [SEP]",
]


def test_bpe_has_two_special_tokens_and_every_byte():
    tokenizer = trained()
    assert (tokenizer.bos, tokenizer.eos, tokenizer.vocabulary) == (0, 1, 330)
    (ids,) = tokenizer.encode(["\u00ff\u4f60\x00\U0010ffff"])
    assert tokenizer.decode(ids) == "\u00ff\u4f60\x00\U0010ffff"
    assert len(tokenizer.encode(["the the the"])[0]) < len("the the the")


def test_training_streams_and_depends_on_the_documents_alone():
    first = Tokenizer.train(iter(SENTENCES * 3), 330)
    assert first.json == trained().json
    assert first.file_hash == trained().file_hash
    assert Tokenizer.train(SENTENCES[:2] * 3, 330).file_hash != first.file_hash


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    assert Tokenizer.train(SENTENCES, 258).vocabulary == 258
    with pytest.raises(ConfigError, match="257 is less than 258"):
        Tokenizer.train(SENTENCES, 257)


def test_no_merge_comes_from_a_pair_that_is_seen_once():
    assert Tokenizer.train(["abc"], 300).vocabulary == 258


def test_a_saved_tokenizer_is_the_same_and_has_the_hash_of_its_file(tmp_path):
    tokenizer = trained()
    tokenizer.save(tmp_path / "new" / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "new" / "tokenizer.json")
    assert loaded.file_hash == tokenizer.file_hash == file_hash(tmp_path / "new" / "tokenizer.json")
    for text in HARD:
        assert np.array_equal(loaded.encode([text])[0], tokenizer.encode([text])[0])


NO_TOKENIZERS = {
    "utf-16": "{}".encode("utf-16"),
    "latin-1": b"\xff{}",
    "empty": b"",
    "no model": b"{}",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", NO_TOKENIZERS.values(), ids=NO_TOKENIZERS)
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"^{tmp_path}/tokenizer\.json "):
        Tokenizer.load(tmp_path / "tokenizer.json")


def test_truncation_and_padding_that_came_with_a_tokenizer_are_taken_off(tmp_path):
    backend = word_piece_backend()
    assert len(backend.encode("the fox jumps jumping").ids) == 8
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.load(tmp_path / "tokenizer.json")
    assert tokenizer.encode(["the fox jumps jumping"])[0].tolist() == [5, 6, 7, 8, 7, 9]
    tokenizer.save(tmp_path / "again.json")
    assert '"truncation": null' in (tmp_path / "again.json").read_text()


@pytest.mark.parametrize(
    ("special", "bos", "eos"),
    [
        (["<s>", "<pad>", "</s>"], 256, 258),
        (["<|endoftext|>"], 256, 256),
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], 256, 256),
        (["<|im_start|>", "<|im_end|>"], 256, 257),
        (["<|begin_of_text|>", "<|end_of_text|>"], 256, 257),
    ],
)
def test_bos_and_eos_go_by_known_names(special, bos, eos):
    tokenizer = Tokenizer(byte_level_backend(*special, plain=("<think>",)))
    assert (tokenizer.bos, tokenizer.eos) == (bos, eos)
    assert tokenizer.vocabulary == 256 + len(special) + 1


def test_bert_starts_with_cls_and_ends_with_sep():
    tokenizer = Tokenizer(word_piece_backend())
    assert (tokenizer.bos, tokenizer.eos, tokenizer.vocabulary) == (2, 3, 15)


def test_unknown_tokenizers_are_refused_with_what_they_have(tmp_path):
    with pytest.raises(ConfigError, match=r"<eot>.*NAMES"):
        Tokenizer(byte_level_backend("<eot>"))
    with pytest.raises(ArtifactError, match=r"none\.json is missing"):
        Tokenizer.load(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"a\.json is not a tokenizer\.json"):
        Tokenizer.load(tmp_path / "a.json")


def unigram() -> Backend:
    """Pieces with a mark for the space before a word."""
    pieces = ["<s>", "</s>", "<unk>", "\u2581the", "\u2581fox", *"thefox", "\u2581"]
    backend = Backend(models.Unigram([(piece, -float(place)) for place, piece in enumerate(pieces)], unk_id=2))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.add_special_tokens(["<s>", "</s>"])
    return backend


def characters() -> Backend:
    """A token per character, which knows no way back but to join them."""
    backend = Backend(models.WordLevel({token: place for place, token in enumerate([*"thefox ", "</s>", "?"])}, "?"))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    backend.add_special_tokens(["</s>"])
    return backend


@pytest.mark.parametrize("make", [unigram, characters])
def test_any_tokenizer_encodes_and_decodes_and_only_offsets_are_refused(make):
    tokenizer = Tokenizer(make())
    (ids,) = tokenizer.encode(["the fox"])
    assert tokenizer.decode([tokenizer.bos, *ids, tokenizer.eos, tokenizer.vocabulary]) == "the fox"
    with pytest.raises(ConfigError, match=r"its decoder is (Metaspace|Fuse), and offsets are exact for ByteLevel"):
        tokenizer.decode_with_offsets(ids)


@pytest.mark.parametrize("text", ["a<|endoftext|>b", "<|bos|>", "x <|eos|>"])
def test_text_cannot_forge_a_special_token(text):
    for tokenizer in (trained(), Tokenizer(byte_level_backend("<|endoftext|>"))):
        (ids,) = tokenizer.encode([text])
        assert not tokenizer.special & set(ids.tolist())
        assert tokenizer.decode(ids) == text
    (ids,) = Tokenizer(word_piece_backend()).encode(["the [SEP]"])
    assert ids.tolist() == [5, 12, 14, 13]


@pytest.mark.parametrize("text", HARD)
def test_bytes_are_decoded_to_the_text_they_came_from(text):
    for tokenizer in (trained(), Tokenizer(byte_level_backend("<|endoftext|>", plain=("<think>", "a b")))):
        (ids,) = tokenizer.encode([text])
        assert tokenizer.decode([tokenizer.bos, *ids, tokenizer.eos]) == text


def check_offsets(tokenizer: Tokenizer, ids: list[int]) -> None:
    text, spans = tokenizer.decode_with_offsets(ids)
    assert len(spans) == len(ids)
    assert text == tokenizer.decode(ids)
    starts, ends = zip(*spans, strict=True)
    assert list(starts) == sorted(starts)
    assert list(ends) == sorted(ends)
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(place in covered or character == " " for place, character in enumerate(text))
    assert max(covered, default=-1) < len(text)
    assert all(start == end for id_, (start, end) in zip(ids, spans, strict=True) if id_ in tokenizer.special)


@pytest.mark.parametrize("seed", range(20))
def test_any_ids_decode_as_the_library_does_and_have_monotone_spans_that_cover_the_text(seed):
    for tokenizer in (trained(), Tokenizer(word_piece_backend())):
        ids = np.random.default_rng(seed).integers(tokenizer.vocabulary, size=60).tolist()
        if tokenizer.vocabulary == 15:
            ids = [5, *ids]  # the library keeps a "##" at the start
        check_offsets(tokenizer, ids)
        assert tokenizer.decode(ids) == tokenizer.backend.decode(ids)


def test_spans_of_words_include_the_bytes_of_their_tokens():
    tokenizer = trained()
    (ids,) = tokenizer.encode([SENTENCES[0]])
    text, spans = tokenizer.decode_with_offsets(ids)
    assert "".join(text[start:end] for start, end in spans) == SENTENCES[0]
    assert spans == tokenizer.backend.encode(SENTENCES[0]).offsets


def test_a_character_cut_by_tokens_is_in_the_span_of_each():
    tokenizer = Tokenizer(byte_level_backend("<|endoftext|>"))
    (ids,) = tokenizer.encode(["a\u00e9\U0001f600b"])
    expected = [(0, 1), (1, 2), (1, 2), (2, 3), (2, 3), (2, 3), (2, 3), (3, 4)]
    assert tokenizer.decode_with_offsets(ids) == ("a\u00e9\U0001f600b", expected)


def test_half_a_character_is_replaced_and_keeps_its_span():
    tokenizer = Tokenizer(byte_level_backend("<|endoftext|>"))
    (ids,) = tokenizer.encode(["\U0001f600\u00e9\ufffd"])
    # two bytes of the smiley make one U+FFFD, a lone first byte of the letter another; the last is in the text itself
    ids = [*ids[:2], 256, ids[4], *ids[6:]]
    text, spans = tokenizer.decode_with_offsets(ids)
    assert text == "\ufffd\ufffd\ufffd"
    assert spans == [(0, 1), (0, 1), (1, 1), (1, 2), (2, 3), (2, 3), (2, 3)]


def test_spans_of_word_pieces_leave_out_the_space_between_words():
    tokenizer = Tokenizer(word_piece_backend())
    text, spans = tokenizer.decode_with_offsets([2, 9, 5, 6, 10, 3, 7, 8, 11, 3])
    assert text == "ing the fox, jumps."
    assert spans == [(0, 0), (0, 3), (4, 7), (8, 11), (11, 12), (12, 12), (13, 17), (17, 18), (18, 19), (19, 19)]


def test_the_mask_and_gaps_in_the_vocabulary_have_no_text():
    tokenizer = trained()
    (ids,) = tokenizer.encode(["the fox"])
    mixed = [tokenizer.vocabulary, *ids, tokenizer.vocabulary]
    assert tokenizer.decode(mixed) == "the fox"
    check_offsets(tokenizer, mixed)
    assert tokenizer.decode_with_offsets([]) == ("", [])


def test_added_tokens_that_are_not_special_are_text():
    tokenizer = Tokenizer(byte_level_backend("<|endoftext|>", plain=("<think>", "\u4f60 x")))
    (ids,) = tokenizer.encode(["a<think>\u4f60 x."])
    assert ids.tolist()[1:3] == [257, 258]
    assert tokenizer.decode_with_offsets(ids) == ("a<think>\u4f60 x.", [(0, 1), (1, 8), (8, 11), (11, 12)])


def test_parts_are_cut_before_a_space_between_two_letters():
    assert list(cut("ab cd, ef  gh ij k", 3)) == ["ab cd, ef  gh", " ij", " k"]
    assert list(cut("one two three", 100)) == ["one two three"]
    assert list(cut("", 3)) == [""]


@pytest.mark.parametrize("characters", [1, 7, 30])
def test_parts_of_a_text_have_the_ids_of_the_whole(characters):
    text = "".join(HARD + SENTENCES * 2)
    for tokenizer in (trained(), Tokenizer(word_piece_backend())):
        pieces = list(tokenizer.pieces(text, characters))
        assert len(pieces) > 3
        assert "".join(pieces) == text
        assert np.array_equal(np.concatenate(tokenizer.encode(pieces)), tokenizer.encode([text])[0])


def test_a_text_is_whole_where_parts_would_have_other_ids():
    across = byte_level_backend("<|endoftext|>")
    letters = {**across.get_vocab(with_added_tokens=False), "k\u0120": 257}  # U+0120 is a space
    across.model = models.BPE(letters, [("k", "\u0120")])
    across.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bare = byte_level_backend("<|endoftext|>")
    bare.pre_tokenizer = None
    spaced = byte_level_backend("<|endoftext|>", plain=("new york",))
    for tokenizer in (Tokenizer(across), Tokenizer(bare), Tokenizer(spaced)):
        assert list(tokenizer.pieces("in new york now", 3)) == ["in new york now"]
