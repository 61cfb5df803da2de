"""The pages of a suite, of the results that are there: nothing is computed but means, errors and verdicts."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ladd.config import Suite
from ladd.config.replicates import replicate_of, without_replicate
from ladd.errors import ArtifactError, reading
from ladd.git import git_tags, last_change
from ladd.report import drawings
from ladd.report.claims import Judged, judge, judged
from ladd.report.curves import loss_by_time_caption, plot_codebook, plot_curves, plot_loss_by_time
from ladd.report.figures import sample_figures
from ladd.report.labels import family_name, plain_name, references, steps_name
from ladd.report.page import SampleGroup, sample_metrics, write_page, write_samples_page
from ladd.report.select import summarise
from ladd.report.story import contests
from ladd.stages.results import read_loss_by_time, read_results
from ladd.stages.seconds import METRIC
from ladd.stages.tracked import versions
from ladd.tasks import Task, task_of
from ladd.yaml_files import write_yaml

RESULTS = Path("results")
AGAIN = "run `dvc repro` to make it again"
ANIMATION = RESULTS / "animation.html"  # of `ladd generate SWEEP --animate`; no stage writes it
CURVES = (
    "Training curves. Strong: validation, faint: training. The loss is what is minimised, token and latent are its "
    "parts, the bound is on -log p(x); what begins far above may leave a panel"
)
CODES = "Use of the codes. How often each code of a codebook is used, the most used first"


def rebuild(suite: Suite, folder: Path) -> None:
    """Write both pages of a suite into a folder, from what results/ has; run in the folder of the suite.

    Raises:
        ArtifactError: a result is missing.
    """
    with reading(RESULTS / "compare.csv", AGAIN):
        compare = read_results(RESULTS / "compare.csv")
    summary = summarise(compare)
    claims = judged(suite.claims, judge(suite.claims, compare))
    made = provenance(suite, compare) | of_results(suite) | here(suite)
    report(suite, summary, claims, folder / "report.html", draw(suite, summary, folder / "plots"), made)
    samples(suite, summary, folder / "samples.html")


def report(
    suite: Suite,
    summary: pl.DataFrame,
    claims: list[Judged],
    path: Path,
    figures: Mapping[str, Path],
    made: Mapping[str, str],
) -> None:
    """Write the report; ``made`` is its footer."""
    write_page(
        path,
        title=f"ladd: {suite.suite}",
        summary=summary,
        claims=claims,
        figures=figures,
        beside=_beside(suite, summary),
        animation=ANIMATION.read_text() if ANIMATION.is_file() else "",
        parameters=write_yaml(suite.written.model_dump(mode="json")),
        provenance=made,
    )


def samples(suite: Suite, summary: pl.DataFrame, path: Path) -> None:
    """Write the page of samples, of the first training of each model."""
    keys = [*(f"reference-{key}" for key in suite.data), *suite.sweeps]
    groups = [group for key in keys if replicate_of(key) == 1 for group in sample_groups(suite, key, summary)]
    write_samples_page(path, groups, title=f"ladd: samples of {suite.suite}")


def provenance(suite: Suite, compare: pl.DataFrame) -> dict[str, str]:
    """What made the numbers, as far as it is the same wherever they are made: of an output of DVC nothing else is."""
    trained = compare.filter(~pl.col("family").is_in([*references()]))
    precisions = ", ".join(sorted(set(trained["precision"])))
    evaluators = compare.group_by("metric", maintain_order=True).agg(pl.col("evaluator_version").first())
    return {
        "suite": suite.suite,
        "seed": str(suite.seed),
        "trainings of each model": str(suite.replicates),
        "precision": precisions,
        "evaluator versions": ", ".join(f"{metric} {version}" for metric, version in evaluators.iter_rows()),
        "commit, date, machine": "of a training in MLflow; `ladd report` writes a page with those of these results",
    }


def of_results(suite: Suite) -> dict[str, str]:
    """Commit and date of the results, where git has them."""
    found = last_change(Path(suite.root), RESULTS / "compare.csv")
    return {} if found is None else {"results committed": found}


def here(suite: Suite) -> dict[str, str]:
    """Where a page is written: commit, libraries and hardware."""
    tags = git_tags(Path(suite.root))
    changed = "" if tags.get("git.changed", "none") == "none" else f", with changes of {tags['git.changed']}"
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return {
        "page written at commit": tags["git.commit"] + changed,
        "libraries": f"python={platform.python_version()} {versions()}",
        "hardware": machine,
    }


def duration(timed: pl.DataFrame) -> dict[str, str]:
    """How long sampling took, of rows with their seconds."""
    rows = timed.filter(metric=METRIC)
    return {"sampling": f"{(rows['value'] * rows['n']).sum():,.0f} seconds"}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown processor"


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
    with reading(path, AGAIN):
        return read(path)


def draw(suite: Suite, summary: pl.DataFrame, plots: Path) -> dict[str, Path]:
    """Draw all figures of a suite into a folder; files by caption."""
    names = [
        *(f"stage1-{key}" for key in suite.latents),
        *(f"prior-{key}" for key in suite.priors),
        *(f"baseline-{key}" for key in suite.baselines),
        *(f"stage2-{key}" for key in suite.models),
    ]
    histories: dict[str, list[pl.DataFrame]] = {}
    for name in names:
        path = RESULTS / "history" / f"{name}.csv"
        history = _read(path, lambda path: pl.read_csv(path, infer_schema_length=None))
        histories.setdefault(without_replicate(name), []).append(history)
    priors = [name for name in histories if name.startswith("prior-")]
    discrete = [*suite.codebooks, *(key for key, latents in suite.latents.items() if latents.kind == "discrete")]
    discrete = [key for key in discrete if replicate_of(key) == 1]
    usage = {
        key: _read(RESULTS / "stage1" / f"{key}.json", lambda path: json.loads(path.read_text())["probabilities"])
        for key in discrete
    }
    figures = sample_figures(summary, plots)
    plot_curves(histories, plots / "curves.png", priors)
    figures[CURVES] = plots / "curves.png"
    if not (losses := read_loss_by_time(dict.fromkeys(sweep.model for sweep in suite.sweeps.values()))).is_empty():
        figures[loss_by_time_caption(losses)] = plots / "loss-by-time.png"
        plot_loss_by_time(losses, plots / "loss-by-time.png")
    if usage:
        plot_codebook(usage, plots / "codebook.png")
        figures[CODES] = plots / "codebook.png"
    return figures


def sample_groups(suite: Suite, key: str, summary: pl.DataFrame) -> list[SampleGroup]:
    """The first samples of every point of a sweep, or of real data, whose key is reference-KEY."""
    points = _read(RESULTS / "samples" / f"{key}.json", lambda path: list(json.loads(path.read_text())))
    if key not in suite.sweeps:
        return _real_groups(suite, key.removeprefix("reference-"), points, summary)
    sweep, groups = suite.sweeps[key], []
    task, given = task_of(suite, sweep.data), "" if sweep.given is None else sweep.given.name
    for point in points:
        steps, temperature = point["token_steps"], point["temperature"]
        words = [steps_name(steps)] * (steps is not None)
        words += [f"temperature {temperature:g}"] * (temperature not in (None, 1)) + [f"given {given}"] * bool(given)
        measured = sample_metrics(summary, model=key, token_steps=steps, temperature=temperature, given=given)
        groups.append(_group(task, f"{_name(suite, key, summary)} ({key})", ", ".join(words), point["items"], measured))
    return groups


def _real_groups(suite: Suite, key: str, points: list[dict[str, Any]], summary: pl.DataFrame) -> list[SampleGroup]:
    task = task_of(suite, key)
    found = [point["items"] for point in points] or [[[[text, False]] for text in drawings.real(task)]]
    measured = sample_metrics(summary, model=f"real-{key}", token_steps=None, temperature=None)
    return [_group(task, "Real data", "", items, measured) for items in found if items]


def _group(task: Task, title: str, subtitle: str, items: list[Any], measured: Mapping[str, str]) -> SampleGroup:
    pictures, look, says = drawings.drawn(task, ["".join(text for text, _ in item) for item in items])
    shown = [[(text, flag) for text, flag in item] for item in items]
    return SampleGroup(title, subtitle, shown, measured, pictures, look, says)


def _name(suite: Suite, key: str, summary: pl.DataFrame) -> str:
    """Plain name of a sweep."""
    rows = summary.filter(model=key).drop_nulls("token_steps").head(1).rows(named=True)
    if rows:
        return plain_name(rows[0] | {"temperature": None})
    return family_name(suite.model(suite.sweeps[key].model).family, key)


def _beside(suite: Suite, summary: pl.DataFrame) -> list[SampleGroup]:
    """Real data; at the smallest and the largest budget the best model beside the one that it is held against; where
    these are one, beside the best of another family."""
    found = contests(summary)
    groups = [group for key in suite.data for group in sample_groups(suite, f"reference-{key}", summary)[:1]]
    for place in sorted({0, len(found) - 1}) if found else ():
        budget, (best, *rest), held = found[place]
        others = [held, *(row for row in rest if row["family"] != best["family"])]
        other = next((row for row in others if row and row["model"] != best["model"]), best)
        for key in dict.fromkeys((other["model"], best["model"])):
            groups += [
                group._replace(title=_name(suite, key, summary))
                for group in sample_groups(suite, key, summary)
                if group.subtitle == steps_name(budget)
            ]
    return groups
