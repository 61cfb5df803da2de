"""Detokenisers, on sentences written in the manner of each corpus; what is expected is what MDLM's data code makes."""

import pytest

from ladd.tasks.text.detokenise import DETOKENISERS

CASES = {
    "mdlm-lm1b": [
        ("The panel met , then left .", "The panel met, then left."),
        ("It is here . And there .", "It is here. And there."),
        ("He read ( a lot ) . It helped .", "He read (a lot) . It helped."),  # no word before the full stop
        ("See http : / / a.b / c and https : / / d.e .", "See http://a.b/c and https://d.e ."),
        ("She 's here , they 'll come .", "She's here, they'll come."),
        ("We do n't know ; it ended : late !", "We do n't know; it ended: late!"),
        ('" Why ? " he asked . " When ? "', '"Why?" he asked. "When?"'),
        ("Who knows ?", "Who knows?"),
        ("A ' well known ' [ old ] fact", "A 'well known' [old] fact"),
        ("It cost $ 2.50 , or £ 2 , not € 3", "It cost $2.50, or £2, not € 3"),
    ],
    "mdlm-ptb": [
        ("mr. <unk> is chairman of <unk> n.v.", "mr. ? is chairman of ? n.v."),
        ("the fund rose N N N to $ N billion", "the fund rose 1 1 1 to $1 billion"),
        ("N of them", "N of them"),
        ("it did n't say the companies ' plan was mr. smith 's", "it didn't say the companies' plan was mr. smith's"),
        ("it 's a # N loan , at 1\\/2 cost", "it's a #1 loan , at 1/2 cost"),
    ],
    "mdlm-wikitext": [
        (" = = Early life = = \n", " == Early life ==\n"),
        (" = = = Death = = = \n", " === Death ===\n"),
        (
            " It sold 1 @,@ 250 copies , well @-@ known , at 3 @.@ 5 . \n",
            " It sold 1,250 copies, well-known, at 3.5.\n",
        ),
        ('The song " Home " ( 1990 ) is one', 'The song "Home" (1990) is one'),
        ("the band 's and the owners ' choice : it was n't", "the band's and the owners' choice: it was n't"),
        ("the word ' flood ' [ sic ] ; at 5 ° C { x } with N pages", "the word 'flood' [sic]; at 5°C {x} with 1 pages"),
    ],
    "mdlm-lambada": [
        (" “ you 're late , ” she said .\n", '\n" you \'re late , " she said .'),
        ("`` it \u2019s , '' he said", "\n`` it \u2019s , '' he said"),
    ],
    "mdlm-scientific-papers": [
        (
            "models @xcite give ( e.g. , for @xmath0 - dimensional data ) a fit .\n it is $ 3 / day .",
            "models @xcite give (e.g., for @xmath0 - dimensional data) a fit .\nit is $3/day.",
        ),
        ("the patients ' blood and / or urine", "the patients' blood and/or urine"),
    ],
    "none": [
        (" a , b \n", " a , b \n"),
        (
            "Oil #39;s at $3 &lt;b&gt;now&lt;/b&gt;\\quot;ok",
            "Oil #39;s at $3 &lt;b&gt;now&lt;/b&gt;\\quot;ok",
        ),  # AG News
    ],
}


@pytest.mark.parametrize(
    ("name", "text", "expected"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
def test_text_is_what_the_published_rules_make_of_it(name, text, expected):
    assert DETOKENISERS[name](text) == expected


def test_every_detokeniser_has_cases():
    assert set(CASES) == set(DETOKENISERS)


@pytest.mark.parametrize("name", DETOKENISERS)
def test_an_empty_document_stays_without_a_visible_character(name):
    assert DETOKENISERS[name]("").strip() == DETOKENISERS[name](" \n ").strip() == ""
