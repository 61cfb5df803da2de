"""reference@D: rows that models are held against: known answers, real data, simple models."""

from __future__ import annotations

from pathlib import Path

from ladd.files import write_json
from ladd.stages.artifacts import use_device
from ladd.stages.measure import base_row
from ladd.stages.reference_sawtooth import sawtooth_rows
from ladd.stages.reference_text import text_rows
from ladd.stages.results import write_results
from ladd.stages.runtime import Stage, run_stage


def main(stage: Stage) -> None:
    suite, device = stage.suite, use_device(stage.suite.compute)
    measure = sawtooth_rows if suite.evaluation.kind == "sawtooth" else text_rows
    rows, shown = measure(suite, stage.key, base_row(suite, model="", family=""), device)
    write_results(f"reference-{stage.key}", rows)
    write_json(Path(f"results/samples/reference-{stage.key}.json"), shown)


if __name__ == "__main__":
    run_stage("reference", main)
