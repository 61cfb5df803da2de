"""reference@D: rows that models are held against: known answers, real data, simple models."""

from __future__ import annotations

from pathlib import Path

from ladd.evaluation.rows import Row
from ladd.files import write_json
from ladd.metrics.base import Values
from ladd.stages.artifacts import use_device
from ladd.stages.measure import values_folder
from ladd.stages.results import write_results
from ladd.stages.runtime import WORK, Stage, run_stage
from ladd.tasks import task_of


def main(stage: Stage) -> None:
    suite, name = stage.suite, f"reference-{stage.key}"
    task = task_of(suite, stage.key, use_device(suite.compute))
    values = Values(WORK / "values" / name, suite.compute.model_dump())
    rows, shown = task.reference_rows(Row(suite.suite, model="", family=""), values)
    with stage.output(values_folder(name)) as folder:
        values.save(folder)
    write_results(name, rows)
    write_json(Path(f"results/samples/{name}.json"), shown)


if __name__ == "__main__":
    run_stage("reference", main)
