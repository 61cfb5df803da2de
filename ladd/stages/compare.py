"""compare: one tidy table of all results, plots, and pages that hold everything."""

import json
import logging
from pathlib import Path
from typing import Any

import polars as pl

from ladd.config import Suite
from ladd.config.replicates import replicate_of, without_replicate
from ladd.errors import TrackingError
from ladd.files import write_atomically, write_json
from ladd.git import git_tags
from ladd.report.blocks import headline, render
from ladd.report.claims import block, counts, judge, judged
from ladd.report.curves import loss_by_time_caption, plot_codebook, plot_curves, plot_loss_by_time
from ladd.report.figures import sample_figures
from ladd.report.labels import family_name, schedule_name, steps_name
from ladd.report.page import SampleGroup, sample_metrics, write_page, write_samples_page
from ladd.report.select import summarise
from ladd.stages.results import nested_means, read_loss_by_time, read_results
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.seconds import METRIC, SECONDS, with_seconds
from ladd.stages.tracked import current_fingerprints, versions
from ladd.tasks import Task, task_of
from ladd.tasks.pictures import Picture, Pictured
from ladd.tracking import Experiment, answering, flow_tags, tracking_uri
from ladd.yaml_files import write_yaml

log = logging.getLogger(__name__)
RESULTS = Path("results")


def main(stage: Stage) -> None:
    suite = stage.suite
    keys = [*(f"reference-{key}" for key in suite.data), *suite.sweeps]
    first = [key for key in keys if replicate_of(key) == 1]
    compare = pl.concat([read_results(RESULTS / "evaluate" / f"{key}.csv") for key in keys])
    write_atomically(RESULTS / "compare.csv", compare.write_csv().encode())
    summary = summarise(compare)  # refuses rows that must not be averaged or compared
    write_json(RESULTS / "compare.json", nested_means(compare))
    verdicts = judge(suite.claims, compare)
    claims = judged(suite.claims, verdicts)
    of_each = {each.key: each.verdict._asdict() for each in claims}
    write_json(RESULTS / "claims.json", {"verdicts": counts(verdicts), "claims": of_each})
    write_atomically(RESULTS / "compare.txt", render(summary, [block(claims)] if claims else []).encode())
    write_page(
        RESULTS / "report.html",
        title=f"ladd: {suite.suite}",
        summary=summary,
        claims=claims,
        figures=_figures(suite, summary),
        parameters=write_yaml(suite.written.model_dump(mode="json")),
        provenance={"suite": suite.suite, "seed": str(suite.seed)},
    )
    groups = [group for key in first for group in _sample_groups(suite, key, summary)]
    write_samples_page(RESULTS / "samples.html", groups, title=f"ladd: samples of {suite.suite}")
    _write_seconds(suite, compare)
    publish_comparison(suite)


def _write_seconds(suite: Suite, compare: pl.DataFrame) -> None:
    """The page once more with the seconds that sampling took, where they are known; it is no output of the stage."""
    tables = [compare.filter(~pl.col("model").is_in(list(suite.sweeps)))]
    for key, sweep in suite.sweeps.items():
        rows = compare.filter(model=without_replicate(key), replicate=replicate_of(key))
        tables.append(with_seconds(rows, key, sweep))
    timed = pl.concat(tables)
    if timed.filter(metric=METRIC).is_empty():
        return
    summary = summarise(timed)
    write_page(
        SECONDS / "report.html",
        title=f"ladd: {suite.suite}, with seconds",
        summary=summary,
        figures=sample_figures(summary, SECONDS),
        parameters=write_yaml(suite.written.model_dump(mode="json")),
        provenance={"suite": suite.suite, "libraries": versions()} | git_tags(Path(suite.root)),
    )


def _figures(suite: Suite, summary: pl.DataFrame) -> dict[str, Path]:
    plots = RESULTS / "plots"
    names = [
        *(f"stage1-{key}" for key in suite.latents),
        *(f"prior-{key}" for key in suite.priors),
        *(f"baseline-{key}" for key in suite.baselines),
        *(f"stage2-{key}" for key in suite.models),
    ]
    histories: dict[str, list[pl.DataFrame]] = {}
    for name in names:
        history = pl.read_csv(RESULTS / "history" / f"{name}.csv", infer_schema_length=None)
        histories.setdefault(without_replicate(name), []).append(history)
    priors = [name for name in histories if name.startswith("prior-")]
    discrete = [*suite.codebooks, *(key for key, latents in suite.latents.items() if latents.kind == "discrete")]
    discrete = [key for key in discrete if replicate_of(key) == 1]
    usage = {key: json.loads((RESULTS / "stage1" / f"{key}.json").read_text())["probabilities"] for key in discrete}
    figures = sample_figures(summary, plots)
    plot_curves(histories, plots / "curves.png", priors)
    figures["Training curves"] = plots / "curves.png"
    if not (losses := read_loss_by_time(dict.fromkeys(sweep.model for sweep in suite.sweeps.values()))).is_empty():
        figures[loss_by_time_caption(losses)] = plots / "loss-by-time.png"
        plot_loss_by_time(losses, plots / "loss-by-time.png")
    if usage:
        plot_codebook(usage, plots / "codebook.png")
        figures["Use of the codes"] = plots / "codebook.png"
    return figures


def _sample_groups(suite: Suite, key: str, summary: pl.DataFrame) -> list[SampleGroup]:
    """The first samples of every point of a sweep, or of real data."""
    sweep = suite.sweeps.get(key)
    title, model, given = "Real data", key.replace("reference-", "real-"), ""
    if sweep is not None:
        family = family_name(suite.model(sweep.model).family, key)
        title, model = f"{family} {schedule_name(sweep.schedule, sweep.latent_steps)} ({key})".replace("  ", " "), key
        given = "" if sweep.given is None else sweep.given.name
    task = task_of(suite, key.removeprefix("reference-") if sweep is None else sweep.data)
    groups = []
    for point in json.loads((RESULTS / "samples" / f"{key}.json").read_text()):
        steps, temperature = point["token_steps"], point["temperature"]
        subtitle = "" if steps is None else f"{steps_name(steps)}, temperature {temperature:g}"
        groups.append(
            SampleGroup(
                title=title,
                subtitle=subtitle + (f", given {given}" if given else ""),
                items=[[(text, flag) for text, flag in item] for item in point["items"]],
                pictures=_pictures(task, point["items"]),
                metrics=sample_metrics(summary, model=model, token_steps=steps, temperature=temperature, given=given),
            )
        )
    return groups


def _pictures(task: Task, items: list[list[list[Any]]]) -> list[Picture]:
    """Of samples, where the task draws them."""
    if not isinstance(task, Pictured):
        return []
    return [task.picture("".join(text for text, _ in item)) for item in items]


def publish_comparison(suite: Suite) -> None:
    """Do as `show_comparison`; where the server went away since the stage began, a warning says how to do it later."""
    try:
        with answering(tracking_uri(Path(suite.root))):
            show_comparison(suite)
    except TrackingError as error:
        log.warning("%s: the comparison is not shown there; when it answers, `ladd track sync` shows it", error)


def show_comparison(suite: Suite) -> None:
    """Mark the runs of the suite as current or superseded, and show what `compare` wrote on the run of the suite."""
    root = Path(suite.root)
    experiment = Experiment(root, suite.suite)
    experiment.mark(current_fingerprints(suite))
    compare = read_results(RESULTS / "compare.csv")
    tops = (RESULTS / "compare.txt", RESULTS / "report.html", Path("params.yaml"))
    plots = sorted((RESULTS / "plots").glob("*.png"))
    experiment.publish(
        table=("compare.json", compare.columns, compare.rows()),
        files=[*((path, None) for path in tops), *((path, "plots") for path in plots)],
        metrics=headline(summarise(compare)),
        tags=git_tags(root) | flow_tags(),
    )


if __name__ == "__main__":
    run_stage("compare", main, keyed=False)
