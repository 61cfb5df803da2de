"""Parts of Markdown pages that are written from results, so that they cannot say anything else.

Such a part stands between two comments: `<!-- table of FOLDER: METRIC -->` or `<!-- claims of FOLDER: SOURCE -->`, and
`<!-- end -->`. `python -m ladd.report.markdown PAGE` writes all of a page (`make pages`: those of README.md).

A claim is of a source that its own begins with: "README, table of real English; paper, Table 4" is one of "README".
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import polars as pl

from ladd.config import load_suite
from ladd.errors import ConfigError, LaddError
from ladd.files import write_atomically
from ladd.registry import suite_folder
from ladd.report import labels
from ladd.report.cells import BEST_NOTE, Record, best_cells, flagged
from ladd.report.claims import judge, judged, tally
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
    bounds = {_of_model(row): row for row in summary.iter_rows(named=True) if row["metric"] == _bound(summary, row)}
    names = labels.plain_names(rows)
    best = _best(rows, shown.better)
    lines = [f"| {shown.title}, by token steps | {' | '.join(map(str, steps))} | {_bound_title(summary)} |"]
    lines.append("|---" * (len(steps) + 2) + "|")
    for key, name in names.items():
        of_model = {row["token_steps"]: row for row in rows.iter_rows(named=True) if labels.row_key(row) == key}
        cells = [_cell(of_model[step], shown.factor, shown.digits) if step in of_model else "" for step in steps]
        cells = [f"**{cell}**" if (key, step) in best else cell for cell, step in zip(cells, steps, strict=True)]
        own = next(iter(of_model))
        said = name + (f" ({own} steps)" if own is not None and own not in steps else "")
        if not any(cells):
            cells[0] = _cell(of_model[own], shown.factor, shown.digits)
        lines.append(f"| {said} | {' | '.join(cells)} | {_bound_cell(bounds.get(key[:3]))} |")
    notes = (labels.sampling_note(rows), labels.error_note(rows), BEST_NOTE if best else "")
    return "\n".join([*lines, "", *filter(None, map(_sentence, notes))])


def _best(rows: pl.DataFrame, better: str) -> set[tuple[labels.Row, int]]:
    """Models and steps of the best values (see `best_cells`), references left out."""
    models = rows.filter(~pl.col("family").is_in([*labels.references()])).drop_nulls("token_steps")
    found = {
        (labels.row_key(row), row["token_steps"]): (row["value"], row["stderr"]) for row in models.rows(named=True)
    }
    keys, steps = list(dict.fromkeys(key for key, _ in found)), sorted({step for _, step in found})
    marked = best_cells([[found.get((key, step)) for step in steps] for key in keys], better)
    return {(keys[row], steps[column]) for row, column in marked}


def claims(folder: Path, source: str) -> str:
    """How many claims of a source have each verdict, and all of them with theirs; those that fail first."""
    suite = load_suite(folder / "params.yaml")
    chosen = {key: claim for key, claim in suite.claims.items() if _begins(claim.source, source)}
    if not chosen:
        sources = sorted({claim.source for claim in suite.claims.values()})
        raise ConfigError(f"{folder}: no claim has the source {source!r}; it has {sources}")
    verdicts = judge(chosen, _results(folder))
    found = f"Of {len(chosen)} claim{'s' * (len(chosen) > 1)} {', '.join(tally(verdicts))}."
    said = [f"- {each.claim.says} *{_sentence(each.said)}*" for each in judged(chosen, verdicts)]
    return "\n".join([found, "", *said])


def _begins(source: str, name: str) -> bool:
    return source == name or source.startswith((f"{name},", f"{name};"))


def _results(folder: Path) -> pl.DataFrame:
    path = folder / "results/compare.csv"
    if not path.is_file():
        raise ConfigError(f"{path} is not there; run `dvc repro` in {folder}")
    return pl.read_csv(path, infer_schema_length=None)


def _of_model(row: Record) -> tuple[str, str, str]:
    return labels.row_key(row)[:3]


def _bound(summary: pl.DataFrame, row: Record) -> str:
    """The likelihood term that stands for a model."""
    if labels.PERPLEXITY in summary["metric"]:
        return labels.PERPLEXITY
    if row["family"] in labels.references():
        return next(name for name, bound in labels.STANDS_IN.items() if bound == labels.BOUND)
    return labels.BOUND if labels.is_conditional(row["family"], row["schedule"]) else labels.TOKEN_BOUND


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
