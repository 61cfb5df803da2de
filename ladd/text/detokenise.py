"""Undo the tokenisation that a corpus was published with, so that a model reads it as ordinary text.

Each function takes one document of its corpus. Only spacing, quotes and escapes change, and ordinary prose passes
unchanged; placeholders that stand for text nobody has any more (@xcite, WikiText's <unk>) stay.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

_TREEBANK_BRACKETS = {
    "-lrb-": "(",
    "-rrb-": ")",
    "-lsb-": "[",
    "-rsb-": "]",
    "-lcb-": "{",
    "-rcb-": "}",
}
_TREEBANK_BRACKET = re.compile("|".join(_TREEBANK_BRACKETS), re.IGNORECASE)
_CONTRACTION = re.compile(r"(?<=\w) (n't|'(?:s|re|ve|ll|d|m|t))(?!\w)", re.IGNORECASE)
_PLURAL_POSSESSIVE = re.compile(r"(?<=s) ' (?=\w)")
_CLOSING = re.compile(r"[ \t]+(?=[,;:?!%)\]}]|\.(?!\w))")
_OPENING = re.compile(r"(?<=[(\[{$£€])[ \t]+")
_LONE_QUOTE = re.compile(r"(?<!\S)\"(?!\S)")
_BARE_QUOTE = re.compile(r"(?<![&a-z])quot;")
_LONE_APOSTROPHE = re.compile(r"(?<!\S)'(?!\S)")


def _join_contractions(text: str) -> str:
    """Join "did n't", "it 's", "don 't" and "owners ' rights"."""
    return _PLURAL_POSSESSIVE.sub("' ", _CONTRACTION.sub(r"\1", text))


def _join_punctuation(text: str) -> str:
    """Closing marks join the word before them, opening brackets and currency signs the one after."""
    return _OPENING.sub("", _CLOSING.sub("", text))


def _join_quotes(text: str, mark: str, lone: re.Pattern[str]) -> str:
    """Quotes that stand alone join what they enclose; they open and close in turn, line by line."""
    lines = []
    for line in text.split("\n"):
        parts = lone.split(line)
        joined = parts[0]
        for index, part in enumerate(parts[1:]):
            opens = index % 2 == 0 and part.strip() != ""
            joined = joined + mark + part.lstrip(" ") if opens else joined.rstrip(" ") + mark + part
        lines.append(joined)
    return "\n".join(lines)


def _join_all_quotes(text: str) -> str:
    return _join_quotes(_join_quotes(text, '"', _LONE_QUOTE), "'", _LONE_APOSTROPHE)


def _treebank_quotes(text: str) -> str:
    """Turn `` and '' into straight quotes that join what they enclose, and a lone ` into a lone '."""
    text = re.sub(r"(?<!\S)`(?!\S)", "'", text)
    return re.sub(r"[ \t]*''", '"', re.sub(r"``[ \t]*", '"', text))


def none(text: str) -> str:
    """Leave text that never was tokenised alone."""
    return text


def lm1b(text: str) -> str:
    """One Billion Words: a sentence with spaces around every mark, straight or Treebank quotes, "don 't"."""
    return _join_punctuation(_join_all_quotes(_join_contractions(_treebank_quotes(text))))


def ptb(text: str) -> str:
    """Penn Treebank: brackets by name, escaped slashes; in Mikolov's version N for a number and <unk> for a rare word.

    N becomes 1 and <unk> becomes ?, a number and a word that other text has too.
    """
    text = _TREEBANK_BRACKET.sub(lambda match: _TREEBANK_BRACKETS[match[0].lower()], text)
    text = re.sub(r"\\([/*])", r"\1", text)
    text = re.sub(r"(?<!\S)N(?!\S)", "1", text)
    text = _join_punctuation(_join_contractions(_treebank_quotes(re.sub(r"(?<=#) (?=\d)", "", text))))
    return text.replace("<unk>", "?").strip()  # last, as this "?" stands for a word and keeps its space


def wikitext(text: str) -> str:
    """WikiText: @-@, @,@ and @.@ inside words and numbers, " = = Heading = = ", spaces around marks and quotes."""
    text = re.sub(r" @([-,.])@ ", r"\1", text)
    text = re.sub(r"(?<==) (?==)", "", text)
    text = _join_punctuation(_join_all_quotes(_join_contractions(text)))
    return "\n".join(line.strip(" ") for line in text.split("\n"))


def lambada(text: str) -> str:
    """LAMBADA: Treebank or curly quotes and spaces around marks, in the raw and in the readable version."""
    text = re.sub("[\u201c\u201d]", '"', re.sub("[\u2018\u2019]", "'", text))
    return _join_punctuation(_join_all_quotes(_join_contractions(_treebank_quotes(text)))).strip()


def ag_news(text: str) -> str:
    r"""AG News: "\" for a line break, and entities that lost their "&", sometimes with a space before them."""
    text = re.sub(r"[ \t]*\\+[ \t]*", " ", text)
    text = re.sub(r" #39;(?=(?:s|t|re|ve|ll|d|m)\b)|(?<=s) #39;(?= )", "'", text)
    text = re.sub(r"&?#(\d+);", lambda match: html.unescape(f"&#{match[1]};"), text)
    text = re.sub(r"(?: (?=lt;/)|&)?(?<![a-z])lt;.*?&?(?<![a-z])gt;", "", text)
    text = re.sub(r"(?<!&) amp;(?=\S)", "&", text)
    text = _join_quotes(text, '"', _BARE_QUOTE)
    text = re.sub(r"&?(?<![a-z])(quot|amp|nbsp|lt|gt);", lambda match: html.unescape(f"&{match[1]};"), text)
    return re.sub(r"[ \t\xa0]+", " ", text).strip()


def scientific_papers(text: str) -> str:
    """PubMed and arXiv: lower case, a paragraph a line, spaces around marks and hyphens, @xcite and @xmath0."""
    text = re.sub(r"(?<=\w) - (?=\w)", "-", text)
    text = re.sub(r"(?<=\w) / (?=\w)", "/", text)
    text = _join_punctuation(_join_all_quotes(_join_contractions(_treebank_quotes(text))))
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


DETOKENISERS: dict[str, Callable[[str], str]] = {
    "none": none,
    "lm1b": lm1b,
    "ptb": ptb,
    "wikitext": wikitext,
    "lambada": lambada,
    "ag_news": ag_news,
    "scientific_papers": scientific_papers,
}
