"""compare: one tidy table of all results, plots, and pages that hold everything."""

import logging
from pathlib import Path

import polars as pl

from ladd.config import Suite
from ladd.config.replicates import replicate_of, without_replicate
from ladd.errors import TrackingError
from ladd.files import write_atomically, write_json
from ladd.git import git_tags
from ladd.report.blocks import headline, render
from ladd.report.claims import Judged, block, counts, judge, judged
from ladd.report.labels import main_metric
from ladd.report.select import summarise
from ladd.stages import pages
from ladd.stages.pages import RESULTS
from ladd.stages.results import nested_means, read_results
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.seconds import METRIC, SECONDS, with_seconds
from ladd.stages.tracked import current_fingerprints
from ladd.tracking import Experiment, answering, flow_tags, tracking_uri

log = logging.getLogger(__name__)


def main(stage: Stage) -> None:
    suite = stage.suite
    keys = [*(f"reference-{key}" for key in suite.data), *suite.sweeps]
    compare = pl.concat([read_results(RESULTS / "evaluate" / f"{key}.csv") for key in keys])
    write_atomically(RESULTS / "compare.csv", compare.write_csv().encode())
    summary = summarise(compare)  # refuses rows that must not be averaged or compared
    write_json(RESULTS / "compare.json", nested_means(compare))
    verdicts = judge(suite.claims, compare)
    claims = judged(suite.claims, verdicts)
    of_each = {each.key: each.verdict._asdict() for each in claims}
    write_json(RESULTS / "claims.json", {"verdicts": counts(verdicts), "claims": of_each})
    write_atomically(RESULTS / "compare.txt", render(summary, [block(claims)] if claims else []).encode())
    figures = pages.draw(suite, summary, RESULTS / "plots")
    pages.report(suite, summary, claims, RESULTS / "report.html", figures, pages.provenance(suite, compare))
    pages.samples(suite, summary, RESULTS / "samples.html")
    _write_seconds(suite, compare, claims, figures)
    publish_comparison(suite)


def _write_seconds(suite: Suite, compare: pl.DataFrame, claims: list[Judged], figures: dict[str, Path]) -> None:
    """The page once more with the seconds that sampling took, where they are known, and with what is of this machine
    alone; it is no output of the stage."""
    tables = [compare.filter(~pl.col("model").is_in(list(suite.sweeps)))]
    for key, sweep in suite.sweeps.items():
        rows = compare.filter(model=without_replicate(key), replicate=replicate_of(key))
        tables.append(with_seconds(rows, key, sweep))
    timed = pl.concat(tables)
    if timed.filter(metric=METRIC).is_empty():
        return
    made = pages.provenance(suite, compare) | pages.here(suite) | pages.duration(timed)
    pages.report(suite, summarise(timed), claims, SECONDS / "report.html", figures, made)


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
    summary = summarise(compare)
    main = main_metric(summary)
    tops = (RESULTS / "compare.txt", RESULTS / "report.html", Path("params.yaml"))
    plots = sorted((RESULTS / "plots").glob("*.png"))
    experiment.publish(
        table=("compare.json", compare.columns, compare.rows()),
        files=[*((path, None) for path in tops), *((path, "plots") for path in plots)],
        metrics=headline(summary),
        main=(main.name, main.better == "higher"),
        tags=git_tags(root) | flow_tags(),
    )


if __name__ == "__main__":
    run_stage("compare", main, keyed=False)
