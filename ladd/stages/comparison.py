"""The results of a suite in MLflow: which runs it has now, and tables and figures on the run of the suite."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from ladd.config import Suite
from ladd.errors import ArtifactError, TrackingError
from ladd.git import git_tags
from ladd.report.blocks import headline
from ladd.report.select import summarise
from ladd.stages.declaration import Declaration, read_declaration
from ladd.stages.results import read_results
from ladd.stages.tracked import TRACKED
from ladd.tracking import Experiment, answering, flow_tags, tracking_uri

log = logging.getLogger(__name__)
RESULTS = Path("results")


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


def current_fingerprints(suite: Suite, stages: Collection[str] = TRACKED.keys()) -> dict[str, str | None]:
    """Fingerprint of every tracked stage by NAME@KEY, of what is on disk; None where an input is missing.

    Results can be there without the artifacts behind them, in a fresh clone.

    Args:
        stages: names of those that are wanted.
    """
    found: dict[str, str | None] = {}
    for declaration in tracked_declarations(suite):
        if declaration.name.partition("@")[0] not in stages:
            continue
        try:
            found[declaration.name] = declaration.fingerprint()
        except ArtifactError as error:
            log.info("%s: the state of its runs is left as it is: %s", declaration.name, error)
            found[declaration.name] = None
    return found


def tracked_declarations(suite: Suite) -> Iterator[Declaration]:
    """Every stage of the suite that has a run, in the order of the pipeline."""
    for name, block in TRACKED.items():
        yield from (read_declaration(name, key) for key in getattr(suite, block))
