"""Random changes of params.yaml that the loader takes run through the whole pipeline, and all results are finite."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ladd.config import load_suite
from ladd.errors import ConfigError
from ladd.stages.declaration import read_declaration
from ladd.stages.plan import stages_in_order
from tests.builders import suite_values
from tests.config.mutations import Place, mutated, plausible
from tests.stages.tiny import make_suite, run_here, write_params

CHANGES = 300
# Where the suite is, and what needs a GPU, Ray or a compiler.
LEFT_ALONE = {"root", "suite", "device", "kind", "compile"}


def wanted(place: Place) -> bool:
    return not LEFT_ALONE & set(place)


def values_of_every_schedule() -> dict:
    """The small suite, with the joint schedule of Co-LADD and a frontier."""
    values = suite_values()
    values["sweeps"]["co-joint"] = values["sweeps"]["di-joint"] | {"model": "co", "latent_lead": 2.0, "eta": 0.5}
    values["sweeps"]["mdlm"]["frontier"] = {"token_steps": [4], "temperatures": [0.7]}
    return values


def run_what_changed(values: dict, done: dict[tuple[str, str | None], str]) -> int:
    """Run the stages whose fingerprint is not that of their last run; how many they were."""
    count = 0
    for stage in stages_in_order(values):
        if done.get(stage) != (fingerprint := read_declaration(*stage).fingerprint()):
            done.pop(stage, None)
            run_here(*stage)
            done[stage] = fingerprint
            count += 1
    return count


def check_results() -> None:
    """No number in a table of results is infinite or NaN; what is not known is empty."""
    tables = list(Path("results").glob("**/*.csv"))
    assert tables
    for path in tables:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for column, text in row.items():
                    try:
                        number = float(text or "0")
                    except ValueError:
                        continue  # a name
                    assert math.isfinite(number), (path, row["metric" if "metric" in row else column], column, text)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # as outside of tests: a figure of extreme numbers may warn
def test_changed_values_are_refused_or_run_and_give_finite_results(tmp_path, monkeypatch):
    base = values_of_every_schedule()
    folder = make_suite(tmp_path, tmp_path / "suites" / "tiny", base)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    done: dict[tuple[str, str | None], str] = {}
    write_params(Path(), base)
    assert run_what_changed(base, done) > 15
    check_results()
    seen = {"refused": 0, "run": 0}

    @settings(
        max_examples=CHANGES,
        phases=[Phase.generate],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(base, plausible(), most=1, wanted=wanted) | mutated(base, plausible(), most=2, wanted=wanted))
    def run(values):
        write_params(Path(), values)
        try:
            load_suite()
        except ConfigError:
            seen["refused"] += 1
            return
        run_what_changed(values, done)
        check_results()
        seen["run"] += 1

    run()
    assert seen["run"] > 30
    assert seen["refused"] > 100
