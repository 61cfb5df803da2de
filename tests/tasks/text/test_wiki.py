"""Wiki markup: hostile texts take no longer than others, and the prose is what plain substitutions give."""

from __future__ import annotations

import random
import re

import pytest

from ladd.tasks.text import wiki
from ladd.tasks.text.wiki import wiki_to_prose

# Substitutions that take time with the square of a hostile text, or worse, in place of the ones by hand.
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
ELEMENT = re.compile(wiki._ELEMENT.pattern + r".*?</\1\s*>", re.IGNORECASE | re.DOTALL)
WEB_LINK = re.compile(r"\[(?:(?:https?|ftp):)?//[^\s\]]*\s*([^\]\n]*)\]")
LINK = re.compile(r"\[\[([^\[\]]*)\]\]")


def replace_links(text: str) -> str:
    count = 1
    while count:
        text, count = LINK.subn(lambda match: wiki._link_text(match[1]), text)
    return text


PARTS = ["<!--", "-->", "<ref>", "<REF name=a>", "</ref>", "</Ref >", "<math>", "</math>", "<ref/>", "[", "]", "[["]
PARTS += ["]]", "[http://a", "[//", "|", "File:", "fr:", ":", "a", "b c", " ", "  ", "\n", "(", ")", ",", "=", "=="]


def random_markup(count: int) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices(PARTS, k=draw.randint(1, 25))) for _ in range(count)]


def test_every_step_is_its_plain_substitution():
    changed = 0
    for text in random_markup(20_000):
        assert wiki._drop_between(text, wiki._COMMENT, lambda name: wiki._COMMENT_END) == COMMENT.sub("", text)
        assert wiki._drop_between(text, wiki._ELEMENT, wiki._element_end) == ELEMENT.sub("", text)
        assert wiki._replace_web_links(text) == WEB_LINK.sub(r"\1", text)
        assert wiki._replace_links(text) == replace_links(text)
        assert wiki._HEADING.sub("", text) == re.sub(r"^=+[^\n]*=+[ \t]*$", "", text, flags=re.MULTILINE)
        assert wiki._EMPTY_BRACKETS.sub("", text) == re.sub(r"[ \t]*\([\s,;:]*\)", "", text)
        assert wiki._HOLE.sub("", text) == re.sub(r"[ \t]+(?=[,.;:)](?:\s|$))", "", text)
        changed += wiki._replace_links(text) != text
    assert changed > 1000


HOSTILE = {
    "comments": "<!--" * 200_000,
    "elements": "<ref>" * 100_000,
    "elements of all names": "<ref><math><table>" * 50_000 + "</graph>" * 50_000,
    "ends of elements": "<ref>" + "</ref" * 100_000 + " " * 100_000,
    "templates": "{{" * 200_000,
    "ends of templates": "{|\n" * 100_000 + "}}" * 100_000,
    "web links": "[http://" * 100_000,
    "a web link": "[//" + "x" * 500_000,
    "web links in a line": "[//a b" * 100_000 + "\n]",
    "links in links": "[[" * 100_000 + "]]" * 100_000,
    "captions in captions": "[[a|b" * 50_000 + "]]" * 50_000,
    "links in a row": "[" + "[[a]]" * 100_000 + "]",
    "ends of links": "a]]" * 100_000,
    "headings": "=" * 200_000 + "x",
    "headings with spaces": "= " * 100_000 + "x",
    "spaces": " " * 500_000 + "x",
    "spaces in lines": ("\t " * 1000 + "\n") * 300,
    "brackets": "(" * 200_000 + " " * 200_000,
    "quotes": "'" * 300_000,
    "switches": "__A" * 100_000,
    "tags": "<a " * 100_000,
    "empty elements": "<ref " * 100_000 + "/" * 100_000,
    "appendices": "== notes ==\n" * 20_000,
    "numbers of characters": "&#" + "9" * 5000 + ";",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_markup_is_read_in_linear_time(text):
    # With the square of its length each would take minutes to days.
    assert len(wiki_to_prose(text)) <= len(text)


def test_links_are_replaced_to_a_depth_that_no_article_has():
    for depth in (wiki.LINKS_IN_LINKS, wiki.LINKS_IN_LINKS + 1):
        text = wiki._replace_links("[[a|" * depth + "x" + "]]" * depth)
        assert text == ("x" if depth == wiki.LINKS_IN_LINKS else "[[a|x]]")
