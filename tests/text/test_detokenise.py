"""Detokenisers, on sentences written in the manner of each corpus."""

import pytest

from ladd.text.detokenise import DETOKENISERS

CASES = {
    "lm1b": [
        ("The panel met , then left .", "The panel met, then left."),
        ('" We do n\'t know , " he said .', '"We don\'t know," he said.'),
        ("He said : `` It 's late . ''", 'He said: "It\'s late."'),
        (
            "It 's the owners ' choice ( for now ) ; they don 't mind .",
            "It's the owners' choice (for now); they don't mind.",
        ),
        ("Shares rose $ 2.50 , or 3 % , to £ 40 .", "Shares rose $2.50, or 3%, to £40."),
        ('She asked : " Why ? " and " When ? "', 'She asked: "Why?" and "When?"'),
        ("They 're sure we 'll win , I 'd say , as they 've won .", "They're sure we'll win, I'd say, as they've won."),
        ("He waited ... and left .", "He waited... and left."),
    ],
    "ptb": [
        ("mr. <unk> is chairman of <unk> n.v.", "mr. ? is chairman of ? n.v."),
        ("the fund rose N N to $ N billion", "the fund rose 1 1 to $1 billion"),
        (
            "it did n't say if the companies ' shares were traders ' picks",
            "it didn't say if the companies' shares were traders' picks",
        ),
        ("it 's a # N loan", "it's a #1 loan"),
        ("New -LRB- and old -RRB- stock , 1\\/2 of it , was sold .", "New (and old) stock, 1/2 of it, was sold."),
        ("`` Who is <unk> , '' he asked ?", '"Who is ?," he asked?'),
    ],
    "wikitext": [
        (" = = Early life = = ", "== Early life =="),
        (" = Anarchism = \n\n It is a well @-@ known view . \n", "= Anarchism =\n\nIt is a well-known view.\n"),
        ("It sold 1 @,@ 250 copies at 3 @.@ 5 pounds .", "It sold 1,250 copies at 3.5 pounds."),
        (
            'The song " Home " ( 1990 ) , her first , is the band \'s best .',
            'The song "Home" (1990), her first, is the band\'s best.',
        ),
        (
            "It was n't the rivers ' fault ; the word ' flood ' is <unk> .",
            "It wasn't the rivers' fault; the word 'flood' is <unk>.",
        ),
    ],
    "lambada": [
        ("`` you 're late , '' she said . he did n't move .", "\"you're late,\" she said. he didn't move."),
        ("\u201c You \u2019re late , \u201d she said .", '"You\'re late," she said.'),
        ("\u201cDon\u2019t,\u201d he said.", '"Don\'t," he said.'),
        ("he heard ` go ! ' and went", "he heard 'go!' and went"),
    ],
    "ag_news": [
        ("Shares of the world #39;s largest\\maker fell.", "Shares of the world's largest maker fell."),
        (
            "It eased investors #39; fears about AT amp;T and Procter &amp; Gamble.",
            "It eased investors' fears about AT&T and Procter & Gamble.",
        ),
        (
            "He was quot;very pleased, quot; he said, quot;and calm. quot;",
            'He was "very pleased," he said, "and calm."',
        ),
        ("It paid #36;3 &lt;b&gt;now&lt;/b&gt; and lt;B gt;later lt;/B gt;.", "It paid $3 now and later."),
        ('See &lt;A HREF="http://a.b/?q=1"&gt;ABC.N&lt;/A&gt;&quot;here&quot; #151; today', 'See ABC.N"here" — today'),
        ("The default is faultquot; salt; bolt; as it was", "The default is faultquot; salt; bolt; as it was"),
    ],
    "scientific_papers": [
        (
            "additive models @xcite give ( e.g. , for @xmath0 - dimensional data ) a well - known fit .\n it is . \n\n",
            "additive models @xcite give (e.g., for @xmath0-dimensional data) a well-known fit.\nit is.",
        ),
        ("at 50 % of patients [ 1 ] ; see @xcite .", "at 50% of patients [1]; see @xcite."),
        ("the patient 's blood and / or urine", "the patient's blood and/or urine"),
    ],
}

PROSE = """The "first" draft (of 1990), which didn't sell, cost $3.50; it's what the owners' club wanted.
Was it? Yes: 1,000 well-known people - or more - said so... A .NET book is 10% off at 3:15."""


@pytest.mark.parametrize(
    ("name", "text", "expected"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
def test_text_is_as_it_was_before_it_was_tokenised(name, text, expected):
    assert DETOKENISERS[name](text) == expected


@pytest.mark.parametrize("name", [name for name in DETOKENISERS if name != "scientific_papers"])
def test_ordinary_prose_is_left_alone(name):
    assert DETOKENISERS[name](PROSE) == PROSE


@pytest.mark.parametrize(
    ("name", "text"), [(name, expected) for name, cases in CASES.items() for _, expected in cases if name != "ptb"]
)
def test_a_second_time_changes_nothing(name, text):
    assert DETOKENISERS[name](text) == text


def test_none_keeps_every_character():
    assert DETOKENISERS["none"](" a , b \n") == " a , b \n"
