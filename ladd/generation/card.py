"""The card of a trained model: what it is, what it was trained on, what it was measured to do, and where it is from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladd.assets import assets_of
from ladd.config import Suite
from ladd.config.claims import quantities
from ladd.config.replicates import without_replicate
from ladd.git import git_tags
from ladd.systems.base import Passes, System

if TYPE_CHECKING:
    from ladd.generation.model import Model

UNSTATED = "not stated; that of the data binds too"
RESULTS = Path("results/compare.csv")
ESSENTIAL = ("metric", "token_steps", "temperature", "value", "stderr", "n")
MOST_ROWS = 60


def origin_of(
    folder: Path, suite: Suite, name: str, key: str, sha256: str, commit: str | None = None
) -> dict[str, Any]:
    """Where a model of a suite is from, and what its results say of it.

    Args:
        name, key: of the sweep or model, and of the model.
        commit: of the code that trained it, where it is known; else that of the checkout.
    """
    tags = git_tags(folder)
    changed = tags.get("git.changed", "none")
    results, claims = _measured(folder, suite, key)
    return {
        "suite": suite.suite,
        "commit": commit or tags["git.commit"],
        "changed": [] if commit or changed == "none" else changed.split(),
        "weights_sha256": sha256,
        "results": results,
        "claims": claims,
    }


def _measured(folder: Path, suite: Suite, key: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rows of the table of results about the sweeps of a model, and the claims about them that hold."""
    if not (folder / RESULTS).is_file():
        return [], {}
    import polars as pl  # here and below: a model without results needs neither

    from ladd.report.claims import judge, sentence
    from ladd.report.select import averaged
    from ladd.stages.results import read_results

    table = read_results(folder / RESULTS)
    sweeps = {without_replicate(name) for name, sweep in suite.sweeps.items() if sweep.model == key}
    verdicts = judge(suite.claims, table)
    about = {name: claim for name, claim in suite.claims.items() if claim.claim is not None}
    claims = {
        claim.says: sentence(verdicts[name])
        for name, claim in about.items()
        if verdicts[name].verdict == "holds" and sweeps & {each.model for each in quantities(str(claim.claim))}
    }
    own = table.filter(pl.col("model").is_in(sorted(sweeps)))
    keys = ("model", "metric", "token_steps", "temperature")
    means = averaged(own, keys, pl.col("n").first(), pl.col("gmacs_per_sample").mean()).sort(keys, nulls_last=True)
    return means.select(*keys, "value", "stderr", "n", "gmacs_per_sample").to_dicts(), claims


def card(model: Model) -> str:
    """Markdown with the metadata that the hub reads at its top."""
    suite, origin = model.suite, model.origin
    config = suite.model(model.key)
    licence = origin.get("licence")
    heads = ["library_name: ladd", "tags: [ladd, diffusion, masked-diffusion]"]
    heads += [f"license: {licence}"] if licence else []
    title = f"{System.of(suite, model.key).title(model.key)} ({without_replicate(model.key)}), suite {suite.suite}"
    parts = [
        "\n".join(["---", *heads, "---"]),
        f"# {title}",
        _use(model),
        "## Model\n\n" + _table(_model(model)),
        "## Data\n\n" + _data(suite, config.data),
        "## What it was measured to do\n\n" + _results(origin),
        "## Where it is from\n\n" + _table(_origin(origin) | {"licence": licence or UNSTATED}),
    ]
    return "\n\n".join(parts) + "\n"


def _use(model: Model) -> str:
    return (
        f"Samples are {model.tokens} tokens of a vocabulary of {model.vocabulary:,}.\n\n```python\nimport ladd\n\n"
        'model = ladd.load("FOLDER")  # this folder, or its name on the hub\nprint(model.sample(4, seed=0).text)\n```'
    )


def _model(model: Model) -> dict[str, str]:
    suite, config = model.suite, model.suite.model(model.key)
    system, training = System.of(suite, model.key), config.training
    step = system.cost(Passes(1, 0)).gmacs
    return {
        "family": config.family,
        "parameters": f"{sum(p.numel() for p in model.network.parameters()):,}",
        "network": f"width {config.network.width}, {config.network.layers} layers, {config.network.heads} heads",
        "samplers": ", ".join(model.samplers),
        "training": f"{training.steps:,} steps of {training.batch} sequences, seed {suite.seed}",
        "cost of one pass": f"{step:.4g} x 10^9 multiply-adds per sample",
    }


def _data(suite: Suite, key: str) -> str:
    data = suite.data[key]
    found = [
        f"- `{place}`: {asset.source} `{asset.name}`, revision {asset.revision or 'none'}, "
        f"sha256 {asset.sha256 or 'none'}"
        for place, asset in assets_of(data, f"data.{key}")
    ]
    return "\n".join([f"`{key}`, task `{data.kind}`, seed {suite.seed}.", *(["", *found] if found else [])])


def _results(origin: dict[str, Any]) -> str:
    claims = [f"- {says} ({verdict})" for says, verdict in origin.get("claims", {}).items()]
    lines = ["Claims that its results satisfy:", "", *claims, ""] if claims else []
    rows = origin.get("results", [])
    if not rows:
        return "\n".join([*lines, "It came without a table of results."])
    names = ("model", *ESSENTIAL)
    lines += [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_shown(row[name]) for name in names)} |" for row in rows[:MOST_ROWS]]
    lines += [f"\nand {len(rows) - MOST_ROWS} more rows in config.json"] * (len(rows) > MOST_ROWS)
    return "\n".join(lines)


def _origin(origin: dict[str, Any]) -> dict[str, str]:
    changed = origin.get("changed") or []
    return {
        "suite": str(origin.get("suite", "not known")),
        "commit": f"{origin.get('commit', 'none')}" + (f", with changes in {', '.join(changed)}" if changed else ""),
        "weights, sha256": str(origin.get("weights_sha256", "not known")),
    }


def _table(rows: dict[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
