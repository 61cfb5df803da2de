"""From wiki markup to prose, in time that grows with the length of a text alone, whatever it is made of."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

_COMMENT = re.compile(r"<!--")
_COMMENT_END = re.compile(r"-->")
_EMPTY_ELEMENT = re.compile(r"<(?:ref|references|gallery|section)\b[^<>]*?/>", re.IGNORECASE)
_ELEMENT = re.compile(
    r"<(ref|references|math|chem|gallery|timeline|imagemap|syntaxhighlight|source|score|table|hiero|graph|mapframe)"
    r"\b[^<>]*>",
    re.IGNORECASE,
)
_BRACES = re.compile(r"\{\{|\}\}|^[ \t:*#]*\{\||^[ \t]*\|\}", re.MULTILINE)
_BRACKET = re.compile(r"([\[\]])")
_WEB_LINK = re.compile(r"\[(?:(?:https?|ftp):)?//")
_ADDRESS_END = re.compile(r"[\s\]]|\Z")
_SHOWN = re.compile(r"\S|\Z")
_SHOWN_END = re.compile(r"[\]\n]")
_DROPPED_LINK = re.compile(r"\s*(?:file|image|category|media)\s*:", re.IGNORECASE)
_LANGUAGE_LINK = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]+)*:")
_LEFT_OVER = re.compile(r"\{\{|\}\}|\[\[|\]\]|__[A-Z]+__|'{2,5}")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_APPENDIX = re.compile(
    r"^==[ \t]*(?:see also|references|external links|further reading|notes|footnotes|citations|bibliography|sources)"
    r"[ \t]*==[ \t]*$.*?(?=^==[^=]|\Z)",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^=[^\n]*=[ \t]*$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]*(?:[|!]|\{\|)[^\n]*$", re.MULTILINE)
_LIST_MARK = re.compile(r"^[*#:;]+[ \t]*|^-{4,}", re.MULTILINE)
_NO_CHARACTER = re.compile(r"&#0*[1-9][0-9]{7,};?")  # a reference to no character, of more digits than int() takes
# A run of spaces is looked at from its start alone.
_EMPTY_BRACKETS = re.compile(r"(?<![ \t])[ \t]*\([\s,;:]*\)")
_BRACKET_START = re.compile(r"\([ \t]*[,;:][\s,;:]*")
_HOLE = re.compile(r"(?<![ \t])[ \t]++(?=[,.;:)](?:\s|$))")
LINKS_IN_LINKS = 50  # deeper ones stay as they are


def wiki_to_prose(source: str) -> str:
    """Plain paragraphs of a wiki text.

    Links leave their text; templates, tables, references, formulas, files, categories, headings, comments and the lists
    at the end (notes, further reading, ...) leave nothing: a sentence whose number was in a template has a hole there.
    Names of sections and namespaces are the English ones.
    """
    text = _drop_between(source, _COMMENT, lambda name: _COMMENT_END)
    text = _drop_between(_EMPTY_ELEMENT.sub("", text), _ELEMENT, _element_end)
    text = _replace_links(_replace_web_links(_drop_braces(text)))
    text = _TAG.sub("", _BREAK.sub(" ", _LEFT_OVER.sub("", text)))
    text = _HEADING.sub("", _APPENDIX.sub("", text))
    text = _LIST_MARK.sub("", _TABLE_ROW.sub("", text))
    text = html.unescape(_NO_CHARACTER.sub("\ufffd", text)).replace("\xa0", " ")
    text = _HOLE.sub("", _BRACKET_START.sub("(", _EMPTY_BRACKETS.sub("", text)))
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Next:
    """The next match at or after a place, for places that never fall: together the searches read a text once."""

    def __init__(self, pattern: re.Pattern[str], text: str):
        self.pattern, self.text = pattern, text
        self.found = pattern.search(text)

    def __call__(self, place: int) -> re.Match[str] | None:
        if self.found is not None and self.found.start() < place:
            self.found = self.pattern.search(self.text, place)
        return self.found


def _drop_between(text: str, opening: re.Pattern[str], closing: Callable[[str], re.Pattern[str]]) -> str:
    """Without all from an opening mark to the next closing mark of its name; an opening mark without partner stays."""
    closings: dict[str, _Next] = {}
    kept, end, position = [], 0, 0
    while match := opening.search(text, position):
        name = match[match.lastindex or 0].lower()
        if name not in closings:
            closings[name] = _Next(closing(name), text)
        partner = closings[name](match.end())
        position = match.end() if partner is None else partner.end()
        if partner is not None:
            kept.append(text[end : match.start()])
            end = position
    return "".join([*kept, text[end:]])


def _element_end(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE)


def _replace_web_links(text: str) -> str:
    """[ADDRESS TEXT] becomes TEXT, which is on one line."""
    address_end, shown, shown_end = (_Next(pattern, text) for pattern in (_ADDRESS_END, _SHOWN, _SHOWN_END))
    kept, end, position = [], 0, 0
    while match := _WEB_LINK.search(text, position):
        position = match.start() + 1
        after = address_end(match.end())
        start = after and shown(after.start())
        stop = start and shown_end(start.start())
        if start and stop and stop[0] == "]":
            kept += [text[end : match.start()], text[start.start() : stop.start()]]
            end = position = stop.end()
    return "".join([*kept, text[end:]])


def _replace_links(text: str) -> str:
    """[[TARGET|TEXT]] becomes TEXT, from the inside out, as captions of files hold links."""
    pieces: list[tuple[str, int]] = []  # a bracket, or text without one; links that were replaced in it, in each other
    for piece in _BRACKET.split(text):
        if piece:
            pieces.append((piece, 0))
        if piece == "]" and (start := _link_start(pieces)) is not None:
            inside = pieces[start + 2 : -2]
            depth = 1 + max((depth for _, depth in inside), default=0)
            if depth <= LINKS_IN_LINKS:
                shown = _link_text("".join(part for part, _ in inside))
                pieces[start:] = [(shown, depth)] if shown else []
    return "".join(piece for piece, _ in pieces)


def _link_start(pieces: list[tuple[str, int]]) -> int | None:
    """Where the link starts that the last two pieces end; None where they end none."""
    if len(pieces) < 4 or pieces[-2][0] != "]":
        return None
    place = len(pieces) - 3
    while place > 0 and pieces[place][0] not in ("[", "]"):
        place -= 1
    return place - 1 if place > 0 and pieces[place][0] == pieces[place - 1][0] == "[" else None


def _link_text(link: str) -> str:
    target, bar, shown = link.partition("|")
    if _DROPPED_LINK.match(target) or (not bar and _LANGUAGE_LINK.match(target)):
        return ""
    return shown.rpartition("|")[2] if bar else target.removeprefix(":")


def _drop_braces(text: str) -> str:
    """Without {{templates}} and {| tables |}, which nest in each other; a brace without partner stays."""
    opened: list[tuple[str, int]] = []
    count = {"{{": 0, "{|": 0}
    dropped: list[tuple[int, int]] = []
    position = 0
    while match := _BRACES.search(text, position):
        mark, position = match[0].lstrip(" \t:*#"), match.end()
        if mark in count:
            opened.append((mark, match.end() - 2))
            count[mark] += 1
            continue
        partner = "{{" if mark == "}}" else "{|"
        if mark == "|}" and (not opened or opened[-1][0] != "{|"):
            position -= 1  # the bar belongs to a template, as in "|}}": look at the brace again
            continue
        if not count[partner]:
            continue
        kind = ""
        while kind != partner:
            kind, start = opened.pop()
            count[kind] -= 1
        while dropped and dropped[-1][0] > start:  # inside this one
            dropped.pop()
        dropped.append((start, match.end()))
    kept, end = [], 0
    for start, stop in dropped:
        kept.append(text[end:start])
        end = stop
    return "".join([*kept, text[end:]])
