"""Hooks of MkDocs (mkdocs.yml): pages that come from elsewhere than docs/, and links that lead out of it."""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).resolve().parents[1]
LINK = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
FENCE = re.compile(r"^```mermaid\n.*?^```$", re.MULTILINE | re.DOTALL)
DIAGRAM = "![The stages of the pipeline](docs/images/pipeline.svg)"  # a page would fetch mermaid from another server
# Page: its title, or None for its first heading; its sections of the README, of which "" is what comes first.
PAGES: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "index.md": (None, ("", "Quick start", "Why", "More")),
    "findings.md": (None, ("What it finds",)),
    "using.md": ("Working with it", ("The pipeline", "Working with it", "Suites")),
    "development.md": (None, ("Development", "Citing", "Licence")),
}
PUBLISHED = "published.md"
RESULT_PAGES = {
    "report": "claims, figures, tables",
    "samples": "samples beside real data",
}  # as `ladd report` writes them
LIST_HEAD = """\
# The pages of these results

What the commands of a suite write, of the results in this repository. Each page is one file that needs nothing beside
it; at the end of a report are the commit and the date of its results. [Results](RESULTS.md) explains every metric.

| Suite | Report | Samples |
|---|---|---|
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the README, of the notebooks and of the results, and pictures from outside docs/."""
    docs = Path(config.docs_dir)
    pages = readme_pages((REPOSITORY / "README.md").read_text())
    for path in sorted(docs.glob("notebooks/*.ipynb")):
        pages[path.relative_to(docs).with_suffix(".md").as_posix()] = notebook_page(path)
    pages[PUBLISHED] = list_of_pages()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for name in sorted(pictures_outside((REPOSITORY / "README.md").read_text())):
        files.append(File.generated(config, name, abs_src_path=str(REPOSITORY / name)))
    for name, path in write_pages(REPOSITORY / ".work/site-pages").items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of a page of docs/ that lead out of it."""
    return rewritten(markdown, posixpath.join("docs", posixpath.dirname(page.file.src_uri)))


def readme_pages(text: str) -> dict[str, str]:
    """The README divided into pages.

    Raises:
        PluginError: a section is on no page, or a page names one that is not there.
    """
    head, *rest = re.split(r"^## ", FENCE.sub(DIAGRAM, text), flags=re.MULTILINE)
    sections = {"": head} | {part.split("\n", 1)[0].strip(): f"## {part}" for part in rest}
    named = [section for _, parts in PAGES.values() for section in parts]
    if sorted(named) != sorted(sections):
        wrong = sorted({*named} ^ {*sections}) or sorted(named)
        raise PluginError(f"infra/site.py: PAGES: {wrong} must be sections of README.md, each of them on one page")
    pages = {}
    for page, (title, parts) in PAGES.items():
        body = "".join(sections[part] for part in parts)
        if title is not None:
            body = f"# {title}\n\n{body}"
        elif parts[0]:
            body = body.removeprefix("#")  # the heading of its first section is that of the page
        pages[page] = rewritten(body.replace("<details>", '<details markdown="1">'), "")
    return pages


def pictures_outside(text: str) -> set[str]:
    """Pictures of the README that are not below docs/, by their path from the root of the repository."""
    names = {link["target"] for link in LINK.finditer(text) if is_picture(link["target"])}
    return {name for name in names if not name.startswith("docs/")}


def is_picture(target: str) -> bool:
    return target.endswith((".png", ".svg")) and ":" not in target


def rewritten(markdown: str, folder: str) -> str:
    """Links to files of the repository as links within the site.

    A page of docs/ is found there, README.md is the first page, pictures are copied, and of a link to any other file
    its text is left, and so it is for folders and for what is not of the site in docs/: where the repository is served
    is not known here. A link to nothing stays, for MkDocs to refuse.

    Args:
        folder: of the source, from the root of the repository; "" or one in docs/.
    """

    def moved(link: re.Match[str]) -> str:
        target, anchor = link["target"], link["anchor"] or ""
        path = posixpath.normpath(posixpath.join(folder, target))
        if ":" in target or not (REPOSITORY / path).exists():
            return link.group()
        within = {"README.md": "index.md"}.get(path, path.removeprefix("docs/").replace(".ipynb", ".md"))
        if not is_picture(path) and (not within.endswith(".md") or within == path):
            return link["text"]
        moved_target = posixpath.relpath(f"docs/{within}", folder or "docs")
        return link.group().replace(f"]({target}{anchor})", f"]({moved_target}{anchor})")

    return LINK.sub(moved, markdown)


def notebook_page(path: Path) -> str:
    """A notebook as Markdown: its text, its code, and what the cells printed."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        printed = "".join("".join(output.get("text", ())) for output in cell.get("outputs", ()))
        if printed:
            parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def suites_with_results() -> dict[str, Path]:
    """Folders of the suites whose results are here, by name; the default suite first."""
    folders = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))]
    named = {"sawtooth" if folder == REPOSITORY else folder.name: folder for folder in folders}
    return {name: folder for name, folder in named.items() if (folder / "results/compare.csv").is_file()}


def write_pages(target: Path) -> dict[str, Path]:
    """Write report and samples of every suite that has results; nothing is trained, sampled or measured.

    Returns:
        Files by their place in the site.
    """
    from ladd.config import load_suite  # here, as both bring torch
    from ladd.stages.pages import rebuild

    found = {}
    for name, folder in suites_with_results().items():
        with contextlib.chdir(folder):
            rebuild(load_suite(), target / name)
        found |= {f"results/{name}/{page}.html": target / name / f"{page}.html" for page in RESULT_PAGES}
    return found


def list_of_pages() -> str:
    """The page that leads to these."""
    rows = []
    for name in suites_with_results():
        links = [f"[{title}](results/{name}/{page}.html)" for page, title in RESULT_PAGES.items()]
        rows.append(f"| `{name}` | {' | '.join(links)} |")
    return f"{LIST_HEAD}{chr(10).join(rows)}\n"
