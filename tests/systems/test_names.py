"""No module but its own names a system, and each says what tables and figures need."""

import ast
from pathlib import Path

from ladd.systems.base import systems

REPOSITORY = Path(__file__).resolve().parents[2]


def test_no_other_module_names_a_system():
    homes = ("ladd/systems/", "ladd/samplers/ar.py")  # the sampler of ar has its name
    paths = [path for root in ("ladd", "flows") for path in (REPOSITORY / root).rglob("*.py")]
    found = [
        f"{place}:{node.lineno}: {node.value}"
        for path in paths
        if not (place := path.relative_to(REPOSITORY).as_posix()).startswith(homes)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in systems()
    ]
    assert found == []


def test_labels_colours_and_places_differ():
    for attribute in ("label", "colour", "place"):
        values = [getattr(system, attribute) for system in systems().values()]
        assert len(set(values)) == len(values)
