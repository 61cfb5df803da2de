"""The page shows the first samples as they are, marks what was given, and needs nothing beside it."""

from __future__ import annotations

import re

import pytest

from ladd.errors import ArtifactError
from ladd.report.page import SHOWN, SampleGroup, sample_metrics, write_samples_page
from ladd.report.select import summarise
from ladd.tasks.pictures import Picture

GROUPS = [
    SampleGroup("MDLM", "1 token step", [[(f"sample {i}", False)] for i in range(5)], {"Gen PPL": "1000.0 ± 30.0"}),
    SampleGroup("MDLM", "4 token steps", [[("two  blanks\nand <b>", False)], [("", False)]]),
    SampleGroup("Co-LADD", "given prefix-2", [[("Fellow citizens", True), (" of the Senate", False)]]),
]


def page(tmp_path, groups=GROUPS) -> str:
    write_samples_page(tmp_path / "samples.html", groups, title="Samples & more")
    return (tmp_path / "samples.html").read_text()


def test_first_samples_in_their_order(tmp_path):
    html = page(tmp_path)
    assert re.findall(r"sample \d", html) == [f"sample {i}" for i in range(SHOWN)]
    assert f"The first {SHOWN} samples of every set, not chosen." in html


def test_text_is_escaped_and_otherwise_unchanged(tmp_path):
    html = page(tmp_path)
    assert '<div class="text">two  blanks\nand &lt;b&gt;</div>' in html
    assert html.count("(empty)") == 1
    assert "<h1>Samples &amp; more</h1>" in html


def test_given_text_is_marked_and_joined_without_blanks(tmp_path):
    assert '<div class="text"><mark>Fellow citizens</mark> of the Senate</div>' in page(tmp_path)
    assert "<mark>" not in page(tmp_path, GROUPS[:2])


def test_contents_lead_to_every_group_and_metrics_stand_beside(tmp_path):
    html = page(tmp_path)
    links, targets = re.findall(r'href="#([^"]+)"', html), re.findall(r'<section class="group" id="([^"]+)"', html)
    assert links == targets == ["set-0", "set-1", "set-2"]
    assert re.findall(r"<h2>(.*)</h2>", html) == ["MDLM", "Co-LADD"]
    assert "<dt>Gen PPL</dt><dd>1000.0 ± 30.0</dd>" in html


def test_page_needs_nothing_outside(tmp_path):
    assert re.findall(r"https?:|<script|<link|@import|url\(|src=", page(tmp_path)) == []


def test_nothing_to_show_keeps_the_old_page(tmp_path):
    old = page(tmp_path)
    for groups, words in (
        ([], "no samples"),
        ([*GROUPS, SampleGroup("AR", "64 token steps", [])], "AR, 64 token steps"),
    ):
        with pytest.raises(ArtifactError, match=words):
            page(tmp_path, groups)
    assert (tmp_path / "samples.html").read_text() == old


def test_metrics_of_one_set(text_rows, table):
    given = [row | {"given": "prefix-16", "value": 7.0} for row in text_rows if row["metric"] == "gen_ppl"]
    summary = summarise(table([*text_rows, *given]))
    at_four = {"model": "mdlm", "token_steps": 4, "temperature": 1.0}
    assert sample_metrics(summary, **at_four) == {"Gen PPL": "400.0 ± 10.0", "entropy": "4.400 ± 0.010"}
    assert sample_metrics(summary, **at_four, given="prefix-16") == {"Gen PPL": "7.0 ± 0.0"}
    assert sample_metrics(summary, model="real", token_steps=None, temperature=None)["Gen PPL"] == "42.0 ± 1.0"
    assert sample_metrics(summary, **at_four | {"token_steps": 3}) == {}


def test_pictures_stand_beside_their_samples_and_tell_good_from_bad(tmp_path):
    pictures = [Picture("<svg><path/></svg>", "valid", good=True), Picture("", "not valid: <empty>", good=False)]
    html = page(tmp_path, [GROUPS[1]._replace(pictures=pictures)])
    good, bad = re.findall(r"<figure.*?</figure>", html)
    assert good == '<figure class="good"><svg><path/></svg><figcaption>valid</figcaption></figure>'
    assert bad == '<figure class="bad"><figcaption>not valid: &lt;empty&gt;</figcaption></figure>'
    assert html.index("two  blanks") < html.index(bad)
    assert "<figure" not in page(tmp_path)
