"""Random changes of params.yaml that the loader takes run through the whole pipeline, and all results are finite."""

from __future__ import annotations

import csv
import math
import sqlite3
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ladd.config import load_suite
from ladd.config.messages import changes
from ladd.errors import ConfigError
from ladd.stages.declaration import read_declaration
from ladd.stages.planned import stages_in_order
from tests.builders import suite_values
from tests.config.mutations import Place, adjusted, mutated, plausible
from tests.stages.tiny import make_suite, run_here, write_params

CHANGES = 600  # of which some come twice, and are run once
LONGEST = 120.0  # seconds of a processor for all stages
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


def described(base: dict, values: dict) -> str:
    """What was changed."""
    return ", ".join(f"{key}: {old} -> {new}" for key, old, new in changes(base, values))


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


def remembered_runs(repository: Path) -> Callable[[], None]:
    """Remember the tracked runs; what is returned forgets all later ones, which every `compare` would go through."""
    names = [str(repository / ".mlflow" / name) for name in ("mlflow.db", "first.db")]

    def copy(source: str, target: str) -> None:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)

    copy(*names)
    return lambda: copy(*reversed(names))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # as outside of tests: a figure of extreme numbers may warn
def test_changed_values_are_refused_or_run_and_give_finite_results(tmp_path, monkeypatch):
    base = values_of_every_schedule()
    folder = make_suite(tmp_path, tmp_path / "suites" / "tiny", base)
    monkeypatch.chdir(folder)
    done: dict[tuple[str, str | None], str] = {}
    write_params(Path(), base)
    assert run_what_changed(base, done) > 15
    check_results()
    forget = remembered_runs(tmp_path)
    seen, known, problems, longest = {"refused": 0, "run": 0, "stages": 0}, set(), [], []

    @settings(
        max_examples=CHANGES,
        phases=[Phase.generate],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        adjusted(base, most=1, wanted=wanted)
        | adjusted(base, most=3, wanted=wanted)
        | mutated(base, plausible(), most=2, wanted=wanted)
    )
    def run(values):
        what = described(base, values)
        if what in known:
            return
        known.add(what)
        write_params(Path(), values)
        try:
            load_suite()
        except ConfigError:
            seen["refused"] += 1
            return
        seen["run"] += 1
        forget()
        start = time.process_time()
        try:
            count = run_what_changed(values, done)
            check_results()
        except Exception:
            problems.append(f"{what}\n{traceback.format_exc()}")
        else:
            seen["stages"] += count
            longest.append((time.process_time() - start, what))

    run()
    print(seen, "longest:", *sorted(longest, reverse=True)[:5], sep="\n")
    assert not problems, "\n".join(problems)
    assert max(longest)[0] < LONGEST
    assert seen["run"] + seen["refused"] > 300
    assert seen["run"] > 60
