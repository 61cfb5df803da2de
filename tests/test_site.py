"""The site of mkdocs.yml: every page is in it once, and every link of it leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import PluginError

from infra import site as hooks

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site and its configuration; a warning ends the build."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        config = load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(folder), strict=True)
        build(config)
    return folder, config


def named(nav: list | dict | str) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [name for part in parts for name in named(part)]


def test_navigation_names_every_page_once(site):
    docs = REPOSITORY / "docs"
    pages = {path.relative_to(docs).with_suffix(".md").as_posix() for path in docs.rglob("*.[mi][dp]*")}
    assert sorted(named(site[1].nav)) == sorted(pages | {*hooks.PAGES, hooks.PUBLISHED})


def test_sections_of_the_readme_are_all_there(site):
    texts = [path.read_text() for path in site[0].rglob("index.html")]
    for section in re.findall(r"^## (.+)$", README, re.MULTILINE):
        assert sum(bool(re.search(rf"<h[12][^>]*>{section}<", text)) for text in texts) >= 1, section


def test_section_that_is_on_no_page_is_refused():
    with pytest.raises(PluginError, match=r"PAGES: \['A new one'\] must be sections"):
        hooks.readme_pages(README + "\n## A new one\n\ntext\n")


def test_pages_load_nothing_from_elsewhere(site):
    loaded = r"<(?:script|img)[^>]*src=\"?(?:https?:)?//|<link[^>]*rel=\"?stylesheet[^>]*href=\"?(?:https?:)?//"
    assert [path for path in site[0].rglob("*.html") if re.search(loaded, path.read_text())] == []


def test_pictures_of_the_readme_are_copied(site):
    names = hooks.pictures_outside(README)
    assert names
    assert all((site[0] / name).read_bytes() == (REPOSITORY / name).read_bytes() for name in names)


@pytest.mark.parametrize(
    ("folder", "link", "expected"),
    [
        ("", "[a](docs/api.md#x)", "[a](api.md#x)"),
        ("", "![a](docs/images/costs.png)", "![a](images/costs.png)"),
        ("", "[a](LICENSE)", "a"),
        ("", "[a](https://example.org/docs/api.md)", "[a](https://example.org/docs/api.md)"),
        ("docs", "[a](api.md)", "[a](api.md)"),
        ("docs", "[a](../README.md)", "[a](index.md)"),
        ("docs", "[a](../README.md#suites)", "[a](index.md#suites)"),
        ("docs", "[a](../tests/test_site.py)", "a"),
        ("docs", "[a](extending)", "a"),
        ("docs", "[a](notebooks/first.ipynb)", "[a](notebooks/first.md)"),
        ("docs/notebooks", "[a](../api.md)", "[a](../api.md)"),
        ("docs/notebooks", "[a](../../README.md)", "[a](../index.md)"),
        ("docs", "[a](nothing.md)", "[a](nothing.md)"),  # MkDocs refuses it
    ],
)
def test_links_that_leave_the_site(folder, link, expected):
    assert hooks.rewritten(link, folder) == expected


def test_pages_of_results_are_those_of_every_suite_that_has_some(site):
    there = {path.relative_to(site[0]).as_posix() for path in (site[0] / "results").glob("*/*.html")}
    assert there == {
        f"results/{name}/{page}.html" for name in hooks.suites_with_results() for page in hooks.RESULT_PAGES
    }
    assert {"sawtooth", "shidoku"} <= set(hooks.suites_with_results())
    assert all((site[0] / each).stat().st_size < 10**6 for each in there)
