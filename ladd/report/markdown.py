"""Parts of Markdown pages that are written from results, so that they cannot say anything else.

Such a part stands between two comments: `<!-- table of FOLDER: METRIC -->` or `<!-- claims of FOLDER: SOURCE -->`, and
`<!-- end -->`. `python -m ladd.report.markdown PAGE` writes all of a page.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path

import polars as pl

from ladd.config import load_suite
from ladd.errors import ConfigError, LaddError
from ladd.files import write_atomically
from ladd.registry import suite_folder
from ladd.report import labels
from ladd.report.cells import Record, flagged
from ladd.report.claims import judge, sentence
from ladd.report.select import sampled, summarise

PART = re.compile(r"(<!-- (table|claims) of (\S+): ([^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def refreshed(text: str, root: Path) -> str:
    """A page with all its parts written anew; ``root`` is what their folders are relative to.

    Raises:
        ConfigError: the suite of a part, or its metric, is not there.
    """

    def part(found: re.Match[str]) -> str:
        opening, kind, folder, name, end = found.groups()
        with suite_folder(root / folder):
            made = table(root / folder, name) if kind == "table" else claims(root / folder, name)
        return f"{opening}{made}\n{end}"

    return PART.sub(part, text)


def table(folder: Path, metric: str) -> str:
    """A metric by token steps, and the bound of each model, with standard errors."""
    summary = summarise(_results(folder))
    shown = next((each for each in labels.metrics() if each.name == metric), None)
    rows = sampled(summary, metric)
    if shown is None or rows.is_empty():
        raise ConfigError(f"{folder}: there are no results of {metric!r}; a page cannot have a table of it")
    steps = sorted({row["token_steps"] for row in rows.filter(pl.col("nfe").is_not_null()).iter_rows(named=True)})
    steps = [step for step in steps if rows.filter(token_steps=step)["family"].n_unique() > 1] or steps
    bounds = {_key(row): row for row in summary.iter_rows(named=True) if row["metric"] == _bound(summary, row)}
    names = _names(rows)
    lines = [f"| {shown.title}, by token steps | {' | '.join(map(str, steps))} | {_bound_title(summary)} |"]
    lines.append("|---" * (len(steps) + 2) + "|")
    for key, name in names.items():
        of_model = {row["token_steps"]: row for row in rows.iter_rows(named=True) if _key(row) == key}
        cells = [_cell(of_model[step], shown.factor, shown.digits) if step in of_model else "" for step in steps]
        own = next(iter(of_model))
        said = name + (f" ({own} steps)" if own is not None and own not in steps else "")
        if not any(cells):
            cells[0] = _cell(of_model[own], shown.factor, shown.digits)
        lines.append(f"| {said} | {' | '.join(cells)} | {_bound_cell(bounds.get(key))} |")
    return "\n".join([*lines, "", f"{_sentence(labels.sampling_note(rows))}"])


def claims(folder: Path, source: str) -> str:
    """A list of the claims of a source, each with its verdict."""
    suite = load_suite(folder / "params.yaml")
    chosen = {key: claim for key, claim in suite.claims.items() if claim.source == source}
    if not chosen:
        raise ConfigError(f"{folder}: no claim has the source {source!r}; it has {sorted(_sources(suite.claims))}")
    verdicts = judge(chosen, _results(folder))
    return "\n".join(f"- {claim.says} *{_sentence(sentence(verdicts[key]))}*" for key, claim in chosen.items())


def _sources(found: dict) -> set[str]:
    return {claim.source for claim in found.values()}


def _results(folder: Path) -> pl.DataFrame:
    path = folder / "results/compare.csv"
    if not path.is_file():
        raise ConfigError(f"{path} is not there; run `dvc repro` in {folder}")
    return pl.read_csv(path, infer_schema_length=None)


def _key(row: Record) -> tuple[str, str]:
    return row["model"], row["schedule"]


def _names(rows: pl.DataFrame) -> dict[tuple[str, str], str]:
    """Plain names of models and sweeps, in the order of the table; the key stands behind a name that several have."""
    named = {_key(row): labels.plain_name(row) for row in rows.iter_rows(named=True)}
    several = {name for name, count in Counter(named.values()).items() if count > 1}
    return {key: f"{name} (`{key[0]}`)" if name in several else name for key, name in named.items()}


def _bound(summary: pl.DataFrame, row: Record) -> str:
    """The likelihood term that stands for a model."""
    if labels.PERPLEXITY in summary["metric"]:
        return labels.PERPLEXITY
    if row["family"] in labels.references():
        return next(name for name, bound in labels.STANDS_IN.items() if bound == labels.BOUND)
    return labels.BOUND if row["family"] in labels.systems_that("uses_latents") else labels.TOKEN_BOUND


def _bound_title(summary: pl.DataFrame) -> str:
    return "data Val PPL" if labels.PERPLEXITY in summary["metric"] else "bound on -log p(x), nats per token"


def _bound_cell(row: Record | None) -> str:
    return "-" if row is None else flagged(1 if row["metric"] == labels.PERPLEXITY else 4)(row).replace("±", " ± ")


def _cell(row: Record, factor: float, digits: int) -> str:
    error = "" if row["stderr"] is None else f" ± {factor * row['stderr']:,.{digits}f}"
    return f"{factor * row['value']:,.{digits}f}{error}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def main() -> None:
    """Entry point of ``python -m ladd.report.markdown PAGE ...``; folders are relative to the working directory."""
    for name in sys.argv[1:]:
        path = Path(name)
        try:
            text = refreshed(path.read_text(), Path(os.curdir))
        except LaddError as error:
            sys.exit(str(error))
        write_atomically(path, text.encode())


if __name__ == "__main__":
    main()
