r"""Undo the tokenisation that a corpus was published with, by the rules of MDLM's data code.

The published perplexities of LM1B, PTB, WikiText, LAMBADA, PubMed and arXiv were computed on text that went through
these rules (kuleshov-group/mdlm, ``dataloader.py``), in this order. They are not good typography: "do n't" stays apart
in LM1B. Other rules make other text, and so another number under the corpus' name. AG News and OpenWebText are read as
they are ("none").

One rule of MDLM's is left out, that for years in WikiText: as it is written there, it matches ``/' 5/`` and no year.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Rule = tuple[str, str]  # a pattern and what it is replaced with


def _joined_to_the_left(marks: str) -> list[Rule]:
    """Marks between two spaces lose the first; one mark after the other, so that "? !" becomes "?!"."""
    return [(re.escape(f" {mark} "), f"{mark} ") for mark in marks]


def _at_the_end(marks: str) -> list[Rule]:
    """The same before the end of the text."""
    return [(rf" {re.escape(mark)}$", mark) for mark in marks]


def _enclosed(pairs: Iterable[str], inside: str) -> list[Rule]:
    """Brackets or quotes join what they enclose.

    Args:
        pairs: of an opening and a closing mark.
        inside: pattern between the marks, with one group; ``%`` stands for characters that are neither mark.
    """
    rules = []
    for opening, closing in map(tuple, pairs):
        pattern = inside.replace("%", f"[^{re.escape(opening)}{re.escape(closing)}]")
        rules.append((re.escape(opening) + pattern + re.escape(closing), rf"{opening}\1{closing}"))
    return rules


_PTB: list[Rule] = [
    (" 's", "'s"),
    ("s ' ", "s' "),
    (" n't", "n't"),
    (" \n ", "\n"),
    (r"\\/", "/"),
    (r"(?<= )N(?= )", "1"),  # a number
    (r"([$#]) 1", r"\g<1>1"),
    ("<unk>", "?"),
]

_WIKITEXT: list[Rule] = [
    ("s '", "s'"),
    *((f" @{mark}@ ", mark) for mark in "-,"),
    (r" @\.@ ", "."),
    *_joined_to_the_left(":;.!?,"),
    # Up to the nearest closing mark, even where another opens before it.
    (r"\(\s*([^)]*?)\s*\)", r"(\1)"),
    (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    (r"{\s*([^}]*?)\s*}", r"{\1}"),
    *_enclosed(['""', "''"], r"\s*(%*?)\s*"),
    ("= = = =", "===="),
    ("= = =", "==="),
    ("= =", "=="),
    (" ° ", "°"),
    (" \n", "\n"),
    ("\n ", "\n"),
    (" N ", " 1 "),
    (" 's", "'s"),
]

_LM1B: list[Rule] = [
    ("(https?) : / / ", r"\1://"),
    (r" '(\w+)", r"'\1"),
    (r" (\w+) \. ", r" \1. "),
    (r" (\w+) \.$", r" \1."),
    *_joined_to_the_left("?"),
    *_at_the_end("?"),
    *_joined_to_the_left("!"),
    *_at_the_end("!"),
    *_joined_to_the_left(",:;"),
    (" / ", "/"),
    *_enclosed(['""', "''", "()", "[]"], " (%+) "),
    (r"([$£]) ", r"\1"),
]


def _by(rules: list[Rule]) -> Callable[[str], str]:
    """A function that applies the rules in order, each to the whole text."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def detokenise(text: str) -> str:
        for pattern, replacement in compiled:
            text = pattern.sub(replacement, text)
        return text

    return detokenise


def _lambada(text: str) -> str:
    """OpenAI's file: its tokens stay, quotes become straight, and a line break comes before the passage."""
    return "\n" + text.replace("“", '"').replace("”", '"').strip()


# Each takes one document of its corpus.
DETOKENISERS: dict[str, Callable[[str], str]] = {
    "none": _by([]),
    "mdlm-lm1b": _by(_LM1B),
    "mdlm-ptb": _by(_PTB),
    "mdlm-wikitext": _by(_WIKITEXT),
    "mdlm-lambada": _lambada,
    "mdlm-scientific-papers": _by(_WIKITEXT + _LM1B),
}
