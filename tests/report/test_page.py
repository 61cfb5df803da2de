"""The page stands alone, says everything it was given, and replaces itself whole."""

from __future__ import annotations

import base64
import gzip
import io
import re
from html import unescape

import polars as pl
import pytest
from PIL import Image

from ladd.errors import ArtifactError
from ladd.metrics.swd import SlicedWasserstein
from ladd.report.against import TOKEN_STEPS, Figure
from ladd.report.curves import plot_codebook
from ladd.report.figures import plot_metric
from ladd.report.page import write_page
from ladd.report.select import summarise
from ladd.samplers.sequential import Sequential
from ladd.systems.di_ladd import DiLadd


@pytest.fixture
def given(rows, table, tmp_path) -> dict:
    figures = {"Quality <by> steps": tmp_path / "swd.png", "Code use": tmp_path / "codebook.png"}
    plot_metric(summarise(table(rows)), tmp_path / "swd.png", Figure(SlicedWasserstein, TOKEN_STEPS))
    plot_codebook({"k4": [0.1, 0.4, 0.5, 0.0]}, tmp_path / "codebook.png")
    return {
        "title": "Sawtooth & co",
        "summary": summarise(table(rows)),
        "figures": figures,
        "parameters": "seed: 0  # <b>not bold</b>\n",
        "provenance": {"git commit": "0123abc", "evaluator version": "1"},
    }


def pixels(picture) -> bytes:
    return Image.open(picture).convert("RGB").tobytes()


def test_page_holds_everything(given, tmp_path):
    write_page(tmp_path / "out" / "index.html", **given)
    html = (tmp_path / "out" / "index.html").read_text()
    shown = [base64.b64decode(data) for data in re.findall(r'src="data:image/webp;base64,([^"]+)"', html)]
    for figure, data in zip(given["figures"].values(), shown, strict=True):
        assert pixels(io.BytesIO(data)) == pixels(figure)
        assert len(data) < figure.stat().st_size
    said = ["<h1>Sawtooth &amp; co</h1>", "Quality &lt;by&gt; steps", "Code use", "0123abc", "evaluator version"]
    said += [
        "<details class=",
        "# &lt;b&gt;not bold&lt;/b&gt;",
        "di-ladd-k4",
        '0.5731<span class="error"> ± 0.0011</span>',
    ]
    assert [words for words in said if words not in html] == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.html"]


def test_page_needs_nothing_outside(given, tmp_path):
    write_page(tmp_path / "index.html", **given)
    html = (tmp_path / "index.html").read_text()
    sources = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]*)""", html)
    assert sum(source.startswith("data:image/webp;base64,") for source in sources) == len(given["figures"])
    assert all(source.startswith("data:") for source in sources)
    assert re.findall(r"https?:|<script|<link|@import|url\(", html) == []


def test_an_animation_is_shown_within_the_page(given, tmp_path):
    animation = '<p class="a">x < y & "z"</p><script>1</script>'
    write_page(tmp_path / "index.html", animation=animation, **given)
    shown = re.search(r'<iframe[^>]* srcdoc="([^"]*)"', (tmp_path / "index.html").read_text())
    assert unescape(shown[1]) == animation


def test_numbers_of_the_tables_can_be_taken_away(given, tmp_path):
    write_page(tmp_path / "index.html", **given)
    html = (tmp_path / "index.html").read_text()
    found = re.search(r'download="sawtooth.csv.gz" href="data:application/gzip;base64,([^"]+)"', html)
    assert pl.read_csv(gzip.decompress(base64.b64decode(found[1]))).height == given["summary"].height


def test_names_are_plain_and_explained(given, tmp_path):
    write_page(tmp_path / "index.html", **given)
    html = (tmp_path / "index.html").read_text()
    for words in (
        "Di-LADD, sequential, 1 code step",
        Sequential.meaning,
        DiLadd.meaning,
        SlicedWasserstein.meaning[1:],
    ):
        assert words in html


def test_missing_and_wrong_figures_keep_the_old_page(given, tmp_path):
    page = tmp_path / "index.html"
    page.write_text("old")
    (tmp_path / "text.png").write_text("no picture")
    for name, words in (("nowhere.png", "does not exist"), ("text.png", "not a PNG")):
        with pytest.raises(ArtifactError, match=words):
            write_page(page, **given | {"figures": {"x": tmp_path / name}})
    assert page.read_text() == "old"


def test_equal_input_gives_an_equal_page(given, tmp_path):
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, **given)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
