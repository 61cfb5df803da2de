"""SMILES strings as rows of token ids: characters, atoms, or merged pairs of characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ladd.data.chemistry import GAP
from ladd.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD = 0
PAD_NAME = "<pad>"
UNKNOWN = "<unknown>"
PIECES = {
    "character": r".",
    "regex": r"\[[^\]]*\]|Br|Cl|%\d\d|.",  # an atom in brackets, one of two letters, a ring bond of two digits
}
MERGED_STRINGS = 200_000  # that merges are learned on, at most: counting pairs of whole strings takes their memory


class MoleculeTokenizer:
    """Ids of strings and back. Id 0 is padding; pieces follow in the order of their names, merges as learnt."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        names = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        self.pieces = [name for name, _ in names]

    @classmethod
    def train(cls, kind: str, texts: Sequence[str], vocabulary: int) -> MoleculeTokenizer:
        """Of some strings.

        Args:
            kind: "character", "regex" or "bpe".
            vocabulary: V that pairs are merged to; the other kinds have what the strings have.
        """
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

        found = sorted(set(re.findall(PIECES.get(kind, "."), "\n".join(texts))) - {"\n"})
        if kind == "bpe":
            tokenizer = Tokenizer(models.BPE())
            trainer = trainers.BpeTrainer(
                vocab_size=vocabulary, special_tokens=[PAD_NAME], initial_alphabet=found, show_progress=False
            )
            tokenizer.train_from_iterator(texts[:MERGED_STRINGS], trainer)
            return cls(tokenizer)
        ids = {name: place for place, name in enumerate([PAD_NAME, *found])}
        tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES[kind]), "isolated")
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> MoleculeTokenizer:
        """Read what `save` wrote."""
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_file(str(path)))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(str(path))

    @property
    def vocabulary(self) -> int:
        """V, padding among them."""
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Ids of a string, without padding.

        Raises:
            ConfigError: a part of it is no token.
        """
        try:
            ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        except Exception as error:  # of the library: a piece that the vocabulary lacks
            raise ConfigError(f"{text!r} has a part that is no token; the tokens are {self.pieces[1:]}") from error
        if self.decode(ids) != text:  # merges drop characters that they do not know
            raise ConfigError(f"{text!r} has a part that is no token; the tokens are {self.pieces[1:]}")
        return ids

    def encode_rows(self, texts: Sequence[str]) -> Iterable[list[int]]:
        """Ids of strings that it was trained on, in their order."""
        return (encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False))

    def decode(self, ids: Iterable[int]) -> str:
        """The string of a row: padding after it leaves nothing, padding within it shows as a gap; so does the mask not.

        Args:
            ids: in [0, V]; V, the mask, leaves nothing.
        """
        kept = [each for each in ids if each < self.vocabulary]
        while kept and kept[-1] == PAD:
            kept.pop()
        return "".join(GAP if each == PAD else self.pieces[each] for each in kept)


def padded(rows: Iterable[list[int]], tokens: int, dtype: np.dtype, count: int) -> np.ndarray:
    """Rows of ids in an array (count, N), padded behind; longer ones are left out.

    Args:
        rows: ``count`` of them at most.
        tokens: N.
    """
    x = np.full((count, tokens), PAD, dtype)
    place = 0
    for row in rows:
        if len(row) <= tokens:
            x[place, : len(row)] = row
            place += 1
    return x[:place]
