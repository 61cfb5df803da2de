"""The loader over params.yaml files with random changes: a clear error, or a suite whose numbers are all finite."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ladd.config import check_suite, load_suite
from ladd.errors import ConfigError
from tests.builders import suite_values, text_suite_values
from tests.config.mutations import garbage, mutated, numbers_of

REPOSITORY = Path(__file__).resolve().parents[2]
PATHS = [REPOSITORY / "params.yaml", *sorted(REPOSITORY.glob("suites/*/params.yaml"))]
SUITES = {path.parent.name if path.parent != REPOSITORY else "default": path for path in PATHS}
VALUES = {name: json.loads(json.dumps(yaml.safe_load(path.read_text()))) for name, path in SUITES.items()}
VALUES |= {"builder": suite_values(), "text-builder": text_suite_values()}
# Derandomised: every run makes the same changes. Nothing is written beside the tests.
PLAIN = settings(
    max_examples=50, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def check(values: object, name: str) -> bool:
    """Whether the values are taken; they are sound, or the error is a clear one."""
    try:
        suite = check_suite(values, name)
    except ConfigError as error:
        first, *lines = str(error).splitlines()
        assert first == f"{name} is not valid:"
        assert lines
        assert all(line.startswith("  ") and len(line) <= 1002 for line in lines)
        return False
    found = list(numbers_of(suite.model_dump()))
    assert all(math.isfinite(number) and abs(number) < 2**63 for number in found)
    return True


@pytest.mark.parametrize("name", VALUES)
def test_changed_values_are_refused_clearly_or_sound(name):
    taken = []

    @PLAIN
    @given(st.data())
    def look(data):
        taken.append(check(data.draw(mutated(VALUES[name], garbage())), name))

    look()
    assert len(taken) >= 40
    assert not all(taken)


def broken_texts(text: str, count: int) -> list[str]:
    """A file with a line twice, a line gone, cut anywhere, or with a character that means something to YAML."""
    draw, lines, found = random.Random(0), text.splitlines(), []
    for _ in range(count):
        place, change = draw.randrange(len(lines)), draw.randrange(4)
        changed = lines.copy()
        if change == 0:
            changed.insert(place, lines[place])
        elif change == 1:
            del changed[place]
        elif change == 2:
            changed = [*lines[:place], lines[place][: draw.randrange(len(lines[place]) + 1)]]
        else:
            at = draw.randrange(len(lines[place]) + 1)
            changed[place] = lines[place][:at] + draw.choice("{}[]:,&*!|>%@`\"'\t#-?é\0") + lines[place][at:]
        found.append("\n".join(changed))
    return found


def test_broken_text_is_refused_clearly_or_taken(tmp_path):
    path, messages = tmp_path / "params.yaml", []
    for text in broken_texts(SUITES["default"].read_text(), 40):
        path.write_text(text)
        try:
            load_suite(path)
        except ConfigError as error:
            messages.append(str(error))
    assert 5 <= len(messages) < 40
    assert all(message.startswith(str(path)) and len(message) < 60_000 for message in messages)
