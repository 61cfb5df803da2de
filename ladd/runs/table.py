"""One table that answers one question: a metric of all sweeps, by what they differ in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ladd.config import Suite, load_suite
from ladd.config.evaluation import GivenConfig
from ladd.errors import ArtifactError, ConfigError, reading
from ladd.registry import suite_folder
from ladd.report.blocks import essential_metrics
from ladd.report.cells import Block, flagged
from ladd.report.labels import PERPLEXITY, ZERO_SHOT, ZERO_SHOT_NOTE, families, references, sampling, uncertain
from ladd.report.select import ALIKE, at_base_temperature, check_comparable, summarise
from ladd.stages.results import MEASURED, SCHEMA, read_curve, read_results

if TYPE_CHECKING:
    from ladd.tracking import Evaluation

TRAINED = "trained"  # key of the model; the summary's ``model`` is the key of the sweep
COLUMNS = (
    *("suite", "model", TRAINED, "family", "schedule", "L", "K", "w", "token_steps", "latent_steps", "temperature"),
    *("given", "metric", "value", "stderr", *ALIKE),
)
# What rows can be grouped by, and its column.
KEYS = {"suite": "suite", "sweep": "model", "model": TRAINED} | {
    name: name for name in ("family", "schedule", "L", "K", "w", "token_steps", "latent_steps", "temperature", "given")
}
# What tells sweeps of one group apart; the first that does is added to the names of rows.
TELLING = (
    *(("suite",), ("given",), ("temperature",), ("model",), ("sweep",)),
    *(("suite", "model"), ("suite", "sweep"), ("sweep", "temperature"), ("suite", "sweep", "temperature")),
)


def sweep_rows(folders: list[Path], source: str) -> pl.DataFrame:
    """Rows of COLUMNS of all sweeps of the suites in these folders. Raises ArtifactError: a suite has no results
    there."""
    read = {"dvc": _from_dvc, "mlflow": _from_mlflow}[source]
    return pl.concat([read(folder, load_suite(folder / "params.yaml")) for folder in folders])


def _from_dvc(folder: Path, suite: Suite) -> pl.DataFrame:
    path = folder / "results" / "compare.csv"
    with suite_folder(folder), reading(path, "run `dvc repro` to make it again"):
        summary = summarise(read_results(path)).filter(~pl.col("family").is_in([*references()]))
    if unknown := sorted(set(summary["model"]) - set(suite.sweeps)):
        raise ArtifactError(f"{path} has the sweep {unknown[0]!r}, and params.yaml has not; run `dvc repro`")
    trained = {key: sweep.model for key, sweep in suite.sweeps.items()}
    named = summary.with_columns(pl.col("model").replace_strict(trained, return_dtype=pl.String).alias(TRAINED))
    return _typed(named.select(COLUMNS).rows(named=True))


def _from_mlflow(folder: Path, suite: Suite) -> pl.DataFrame:
    # Here, as mlflow takes seconds to import.
    from ladd.stages.tracked import current_fingerprints
    from ladd.tracking import current_evaluations

    with contextlib.chdir(folder):
        evaluations = current_evaluations(Path(suite.root), suite.suite, current_fingerprints(suite, ["measure"]))
    return _typed([row for evaluation in evaluations for row in _rows_of(evaluation)])


def _rows_of(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    tags, parameters, points = evaluation
    curves = {read_curve(name): curve for name, curve in points.items()}
    same: dict[str, Any] = {name: int(tags[name]) if name in tags else None for name in "LKw"}
    same |= {name: tags[name] for name in ("suite", "family", "schedule")}
    same |= {"model": tags["experiment"], TRAINED: tags["model"]}
    for curve, values in curves.items():
        if curve.is_stderr:
            continue
        errors = curves.get(curve._replace(is_stderr=True), {})
        alike = json.loads(tags[MEASURED + curve.metric])
        for step, value in values.items():
            found = {"metric": curve.metric, "value": value, "stderr": errors.get(step)}
            yield same | alike | found | (_budget(parameters, step, curve.temperature) if step else {"given": ""})


def _budget(parameters: Mapping[str, str], step: int, temperature: float) -> dict[str, Any]:
    """What a point at a step budget was sampled with; a bound is at step 0 and has none of it."""
    kind, share = parameters.get("sweep.given.kind"), parameters.get("sweep.given.share")
    given = GivenConfig.model_validate({"kind": kind, "share": float(share)}).name if kind and share else ""
    latent_steps = int(parameters["sweep.latent_steps"])
    return {"token_steps": step, "latent_steps": latent_steps, "temperature": temperature, "given": given}


def _typed(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={name: SCHEMA.get(name, pl.String) for name in COLUMNS})


def comparison(rows: pl.DataFrame, by: Sequence[str], metrics: Sequence[str] = (), steps: Sequence[int] = ()) -> str:
    """Text of the table. Raises ConfigError: a key, a metric or a step is not there; the message lists those that
    are. ArtifactError: the rows were not measured alike."""
    by, metrics = _known("--by", by, KEYS), _metrics(rows, metrics)
    rows = rows.filter(pl.col("metric").is_in(metrics))
    rows = rows if "temperature" in by else at_base_temperature(rows)
    if steps:
        _known("--steps", steps, sorted(rows["token_steps"].drop_nulls().unique()))
        rows = rows.filter(pl.col("token_steps").is_in(list(steps)) | pl.col("token_steps").is_null())
    check_comparable(rows)
    return f"{_block(rows, _telling(rows, by), metrics)}\n"


def _known(option: str, wanted: Sequence[Any], known: Any) -> list[Any]:
    if not wanted:
        raise ConfigError(f"{option} names nothing; it takes some of {list(known)}")
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"{option} {unknown[0]}: there is no such one; there are {list(known)}")
    return list(dict.fromkeys(wanted))


def _metrics(rows: pl.DataFrame, wanted: Sequence[str]) -> list[str]:
    known = sorted(rows["metric"].unique())
    return _known("--metric", wanted or [name for name in essential_metrics() if name in known] or known[:1], known)


def _telling(rows: pl.DataFrame, by: Sequence[str]) -> list[str]:
    """The keys, and what else it takes for no group to hold several sweeps."""
    ways = (list(dict.fromkeys([*by, *more])) for more in ((), *TELLING))
    return next(names for names in ways if _tells(rows, names))


def _tells(rows: pl.DataFrame, names: Sequence[str]) -> bool:
    sweeps = pl.struct("suite", "model").n_unique()
    temperatures = pl.col("temperature").drop_nulls().n_unique()  # a bound has none
    counts = rows.group_by([KEYS[name] for name in names]).agg(pl.max_horizontal(sweeps, temperatures).alias("count"))
    return (counts["count"] <= 1).all()


def _block(rows: pl.DataFrame, names: Sequence[str], metrics: Sequence[str]) -> Block:
    cells: dict[tuple, dict[tuple, str]] = {}
    for row in rows.iter_rows(named=True):
        group = tuple(row[KEYS[name]] for name in names)
        steps = None if "token_steps" in names else row["token_steps"]
        cells.setdefault(group, {})[metrics.index(row["metric"]), steps or 0] = _cell(row)
    columns = sorted({column for filled in cells.values() for column in filled})
    groups = sorted(cells, key=lambda group: list(map(_rank, names, group)))
    body = tuple((*map(_word, group), *(cells[group].get(column, "-") for column in columns)) for group in groups)
    notes = ["; ".join(f"{name}: {_title(name)}" for name in metrics)] if len(metrics) > 1 else []
    notes += [ZERO_SHOT_NOTE] if any(cell.startswith("(") for row in body for cell in row) else []
    return Block(
        title=f"{_title(metrics[0]) if len(metrics) == 1 else ', '.join(metrics)} (value ± standard error)",
        note="; ".join(notes),
        columns=(*names, *(_label(metrics, *column) for column in columns)),
        references=(),
        rows=body,
        names=len(names),
    )


def _label(metrics: Sequence[str], metric: int, steps: int) -> str:
    """Of a column: the token steps, or the metric, or both where there are several of both."""
    if len(metrics) == 1:
        return f"{steps} step{'s' * (steps > 1)}" if steps else "value"
    return f"{metrics[metric]}@{steps}" if steps else metrics[metric]


def _title(metric: str) -> str:
    return sampling()[metric].title if metric in sampling() else metric


def _cell(row: dict[str, Any]) -> str:
    if (shown := sampling().get(row["metric"])) is None:
        return flagged(2 if row["metric"] == PERPLEXITY or row["metric"].startswith(ZERO_SHOT) else 4)(row)
    stderr = None if row["stderr"] is None else row["stderr"] * shown.factor
    return uncertain(row["value"] * shown.factor, stderr, shown.digits)


def _word(value: Any) -> str:
    return "-" if value in (None, "", "none") else f"{value:g}" if isinstance(value, float) else str(value)


def _rank(key: str, value: Any) -> tuple:
    """For sorting: what has no value comes first; families are in the order of the report, unknown ones last."""
    if value is None:
        return (0,)
    if key != "family":
        return (1, value)
    order = list(families())  # of the first suite: another may have systems of its own
    return (1, order.index(value) if value in order else len(order), value)
