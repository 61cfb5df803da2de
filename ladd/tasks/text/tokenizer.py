"""The tokenizer of a data set: byte-level BPE trained on its documents, or a pretrained tokenizer.json.

What becomes of special tokens. `encode` adds none: packing places BOS and EOS itself. Text that spells one
("<|endoftext|>", "[SEP]") is encoded as the ordinary characters it is, so that no document can forge a separator.
`decode` leaves them out, with ids that have no token (gaps in a pretrained vocabulary, and the mask, whose id is V);
nothing is put where they stood, so that under byte-level BPE two documents on either side of an EOS touch.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ladd.errors import ArtifactError, ConfigError, reading

if TYPE_CHECKING:
    import tokenizers

BOS, EOS = "<|bos|>", "<|eos|>"
# (BOS, EOS) by name; the first pair that a tokenizer has is used. GPT-2 and Qwen have one token for both: <|im_end|>,
# which Qwen's chat models stop at, ends a turn and not a document, so it serves only where there is nothing else.
NAMES = [
    (BOS, EOS),
    ("[CLS]", "[SEP]"),
    ("<s>", "</s>"),
    ("<|begin_of_text|>", "<|end_of_text|>"),
    ("<bos>", "<eos>"),
    ("<|endoftext|>", "<|endoftext|>"),
    ("<|im_start|>", "<|im_end|>"),
    ("</s>", "</s>"),
]
WITH_OFFSETS = ("ByteLevel", "WordPiece")  # decoders whose tokens say which characters they are
# A place to cut a text so that the parts have the tokens of the whole: pre-tokenisers split before a single space
# between two letters, and none looks further than that.
_CUT = re.compile(r"[A-Za-z](?= [A-Za-z])")
_PROBE = "The quick brown fox's 12 jumps, over a lazy Dog;\n\nand so on to the end"


class Tokenizer:
    """Text to ids and back, with the offsets of every token.

    Args:
        backend: from the tokenizers library; truncation and padding that were saved with it are taken off.
    Raises:
        ConfigError: it has none of the pairs of `NAMES`.
    """

    def __init__(self, backend: tokenizers.Tokenizer):
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        self.backend = backend
        self.json: str = backend.to_str(pretty=True)
        ids = backend.get_vocab(with_added_tokens=True)
        self.vocabulary: int = max(ids.values()) + 1
        added = backend.get_added_tokens_decoder()
        self.special = {id_ for id_, token in added.items() if token.special}
        pair = next((pair for pair in NAMES if ids.keys() >= set(pair)), None)
        if pair is None:
            raise ConfigError(
                f"tokenizer: none of {NAMES} is among its tokens; it has the added tokens "
                f"{sorted(token.content for token in added.values())}. Add a pair to ladd.tasks.text.tokenizer.NAMES"
            )
        self.bos, self.eos = (ids[name] for name in pair)
        self.special |= {self.bos, self.eos}
        decoder = json.loads(self.json)["decoder"]
        self._decoder: str = decoder["type"] if decoder else "none"
        self._pieces: dict[int, bytes | str] = {}
        self._cuttable = not any(" " in token.content for token in added.values()) and self._cuts_cleanly()

    @classmethod
    def train(cls, documents: Iterable[str], vocabulary: int) -> Tokenizer:
        """Byte-level BPE; the same documents give the same tokenizer, and memory is that of the distinct words.

        Args:
            vocabulary: V, with the two special tokens and the 256 bytes; less comes out where the text has too few
                pairs that occur twice.
        Raises:
            ConfigError: the vocabulary does not hold the bytes.
        """
        # Here and below, so that the module imports without it.
        from tokenizers import Tokenizer as Backend
        from tokenizers import decoders, models, pre_tokenizers, trainers

        if vocabulary < 258:
            raise ConfigError(f"vocabulary: {vocabulary} is less than 258, the two special tokens and the 256 bytes")
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            special_tokens=[BOS, EOS],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        pieces = (piece for document in documents for piece in cut(document))
        backend.train_from_iterator(pieces, trainer)
        return cls(backend)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """A tokenizer.json.

        Raises:
            ArtifactError: there is no such file, or it is not a tokenizer.
        """
        if not path.is_file():
            raise ArtifactError(f"{path} is missing: run the stage or fetch the asset that holds it")
        with reading(path, "a tokenizer.json is UTF-8: fetch it again, or name another file"):
            text = path.read_text(encoding="utf-8")
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str = "tokenizer") -> Tokenizer:
        """From the text of a tokenizer.json; ``name`` is for the error."""
        from tokenizers import Tokenizer as Backend

        try:
            backend = Backend.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise ArtifactError(f"{name} is not a tokenizer.json that tokenizers reads: {error}") from error
        return cls(backend)

    def save(self, path: Path) -> None:
        """Write a tokenizer.json, whole or not at all."""
        from ladd.files import write_atomically  # here, as it imports torch, which the workers of packing do without

        write_atomically(path, self.json.encode())

    @property
    def file_hash(self) -> str:
        """SHA-256 of the file that `save` writes."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    @property
    def name(self) -> str:
        """As result rows have it: the first half of the file's SHA-256."""
        return self.file_hash[:32]

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each text, int32 (n,), without special tokens."""
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def pieces(self, text: str, characters: int = 1 << 16) -> Iterator[str]:
        """Parts of a long text whose ids, joined, are the ids of the whole; one part where that cannot be relied on."""
        return cut(text, characters) if self._cuttable else iter([text])

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Text of a sequence, without special tokens; bytes that are not UTF-8 become U+FFFD."""
        if self._decoder in WITH_OFFSETS:
            return self.decode_with_offsets(ids)[0]
        plain = [int(id_) for id_ in ids if int(id_) not in self.special and int(id_) < self.vocabulary]
        return self.backend.decode(plain)

    def decode_with_offsets(self, ids: Sequence[int] | np.ndarray) -> tuple[str, list[tuple[int, int]]]:
        """Text of a sequence and where in it each token is.

        Starts and ends never fall, and every character but the spaces that WordPiece puts between words belongs to a
        token. A character whose bytes are in several tokens is in the span of each. A WordPiece "##" at the very
        start, where a block cuts a word, is dropped like any other.

        Args:
            ids: (n,), in [0, V].
        Returns:
            The text, and n spans (start, end) in characters; that of a token without text is empty.
        Raises:
            ConfigError: the tokenizer's decoder is not one of `WITH_OFFSETS`.
        """
        if self._decoder not in WITH_OFFSETS:
            raise ConfigError(
                f"tokenizer: its decoder is {self._decoder}, and offsets are exact for {' and '.join(WITH_OFFSETS)} "
                "alone; an encoder with another tokenizer cannot be aligned to it: choose another, or the encoder's own"
            )
        pieces = [self._piece(int(id_)) for id_ in ids]
        if self._decoder == "ByteLevel":
            return _join_bytes([piece if isinstance(piece, bytes) else b"" for piece in pieces])
        return _join_words([piece if isinstance(piece, str) else "" for piece in pieces])

    def _piece(self, id_: int) -> bytes | str:
        """What a token adds to the text: bytes, or for WordPiece characters with the space before them."""
        if id_ not in self._pieces:
            self._pieces[id_] = self._make_piece(id_)
        return self._pieces[id_]

    def _make_piece(self, id_: int) -> bytes | str:
        token = None if id_ in self.special else self.backend.id_to_token(id_)
        if token is None:
            return ""
        if self._decoder == "ByteLevel":
            alphabet = _byte_alphabet()
            # Added tokens are written as they are, not in the alphabet.
            known = all(character in alphabet for character in token)
            return bytes(alphabet[character] for character in token) if known else token.encode()
        # The decoder treats each token by itself, but the first of a sequence in another way: give it a first.
        return self.backend.decoder.decode(["a", token])[1:]

    def _cuts_cleanly(self) -> bool:
        """Whether the ids of a text are those of its parts, tried at every place of a sentence."""
        if self.backend.pre_tokenizer is None:
            return False
        (whole,) = self.encode([_PROBE])
        cuts = [match.end() for match in _CUT.finditer(_PROBE)]
        return all(
            np.array_equal(whole, np.concatenate(self.encode([_PROBE[:place], _PROBE[place:]]))) for place in cuts
        )


def cut(text: str, characters: int = 1 << 16) -> Iterator[str]:
    """Parts of a text of at least so many characters (but the last), cut before a space between two letters."""
    start = 0
    while len(text) - start > characters and (match := _CUT.search(text, start + characters - 1)):
        yield text[start : match.end()]
        start = match.end()
    yield text[start:]


@cache
def _byte_alphabet() -> dict[str, int]:
    """The character that byte-level BPE writes for each byte: itself if it is visible, else one from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(0x100 + index): byte for index, byte in enumerate(hidden)}


def _join_words(pieces: list[str]) -> tuple[str, list[tuple[int, int]]]:
    """Join the pieces; spans leave out the space before a word."""
    first = next((index for index, piece in enumerate(pieces) if piece), None)
    if first is not None:
        pieces[first] = pieces[first].removeprefix(" ")
    ends = list(accumulate(map(len, pieces)))
    spans = [
        (end - len(piece) + (piece.startswith(" ") and len(piece) > 1), end)
        for piece, end in zip(pieces, ends, strict=True)
    ]
    return "".join(pieces), spans


def _join_bytes(pieces: list[bytes]) -> tuple[str, list[tuple[int, int]]]:
    """Join the pieces and read them as UTF-8; a span holds every character of which the token has a byte."""
    content = b"".join(pieces)
    text, starts = _read_utf8(content)
    ends = list(accumulate(map(len, pieces)))
    if len(text) == len(content):
        return text, [(end - len(piece), end) for piece, end in zip(pieces, ends, strict=True)]
    spans = []
    for piece, end in zip(pieces, ends, strict=True):
        after = bisect_right(starts, end - 1)  # characters that start at or before the last byte
        before = bisect_right(starts, end - len(piece)) - 1 if piece else after
        spans.append((before, after))
    return text, spans


def _read_utf8(content: bytes) -> tuple[str, list[int]]:
    """The text, with U+FFFD for whatever is no character, and the byte where each of its characters starts."""
    text = content.decode("utf-8", "replace")
    lead = (np.frombuffer(content, np.uint8) & 0xC0) != 0x80
    position = 0
    while position < len(content):
        try:
            content[position:].decode("utf-8")
            break
        except UnicodeDecodeError as error:  # the only place where Python says which bytes one U+FFFD stands for
            lead[position + error.start] = True
            lead[position + error.start + 1 : position + error.end] = False
            position += error.end
    return text, np.flatnonzero(lead).tolist()
