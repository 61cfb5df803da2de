"""JSON schema of params.yaml, for editors: what pydantic makes of the classes, with those that are found by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from ladd.config.blocks import AdamWConfig, Block, MuonConfig
from ladd.config.evaluation import SweepConfig
from ladd.config.inherit import CLAIMS, DEFAULTS, EXTENDS
from ladd.config.latents import PriorConfig, StudentConfig
from ladd.config.suite import Suite
from ladd.registry import discover, suite_folder

# Blocks whose entries are of a class that is chosen by name: axis, and the attribute that holds it.
CHOSEN = {
    "data": ("Task", "Settings"),
    "evaluation": ("Task", "Evaluation"),
    "baselines": ("System", "Settings"),
    "models": ("System", "Settings"),
    "sweeps": ("Sampler", "Settings"),
}
Json = dict[str, Any]


def schema(folder: str | Path = ".") -> Json:
    """The schema of a params.yaml in a folder, whose modules count.

    Everything may be left out, since it may be taken over (`ladd.config.inherit`); whether a whole suite is there is
    checked when it is read.
    """
    with suite_folder(Path(folder)):
        chosen = {block: _classes(*place) for block, place in CHOSEN.items()}
        chosen["sweeps"].append(SweepConfig)
        chosen["priors"] = [PriorConfig, StudentConfig]
        # Settings of the first class may be of one of the others, which a name in them chooses.
        nested = (import_module("ladd.samplers.tokens").TokenOptions, _classes("Sampler", "Nested"))
    kinds_of: dict[type[Block], list[type[Block]]] = dict([(AdamWConfig, [AdamWConfig, MuonConfig]), nested])
    found = [*kinds_of, *(kind for kinds in (*chosen.values(), *kinds_of.values()) for kind in kinds)]
    every: list[type[Block]] = [Suite, *dict.fromkeys(found)]
    places, whole = models_json_schema(
        [(kind, "validation") for kind in every], title="params.yaml of ladd", ref_template="#/$defs/{model}"
    )
    references = {kind: places[kind, "validation"] for kind in every}
    top = whole["$defs"].pop(references[Suite]["$ref"].rpartition("/")[2])
    instead = {
        references[base]["$ref"]: {"anyOf": [references[kind] for kind in kinds]} for base, kinds in kinds_of.items()
    }
    definitions = {name: _open(value, instead) for name, value in whole["$defs"].items()}
    for kinds in chosen.values():
        _removable_in_each([definitions[references[kind]["$ref"].rpartition("/")[2]] for kind in kinds])
    properties = {name: value for name, value in top["properties"].items() if name != Path(CLAIMS).stem}
    for block, kinds in chosen.items():
        either: Json = {"anyOf": [references[kind] for kind in kinds]}
        each = {"type": "object", "additionalProperties": either}
        properties[block] = {"anyOf": [either, each]} if block == "evaluation" else each
    entries = {name: _entry(value) for name, value in properties.items()}
    shared = {name: value for name, value in entries.items() if value is not None}
    properties = {name: _removable(value) for name, value in properties.items()}
    properties |= {
        EXTENDS: {"type": "string", "description": "folder of a suite, or file, that this one takes over"},
        DEFAULTS: {"type": "object", "properties": shared, "additionalProperties": False},
    }
    return whole | {"$defs": definitions, "type": "object", "properties": properties, "additionalProperties": False}


def _classes(axis: str, attribute: str) -> list[type[Block]]:
    package = f"ladd.{axis.lower()}s"
    found = discover(package, getattr(import_module(f"{package}.base"), axis)).values()
    classes = [getattr(kind, attribute) for kind in found if hasattr(kind, attribute)]
    return list(dict.fromkeys(classes))


def _entry(block: Json) -> Json | None:
    """What an entry of a block with keys is; None of another block."""
    patterns = [*block.get("patternProperties", {}).values(), block.get("additionalProperties")]
    return next((each for each in patterns if isinstance(each, dict)), None)


def _removable(block: Json) -> Json:
    """A block with keys whose entries may be null: that takes away one that was taken over."""
    every, patterns = block.get("additionalProperties"), block.get("patternProperties")
    changed: Json = {}
    if isinstance(every, dict):
        changed["additionalProperties"] = _or_null(every)
    if patterns:
        changed["patternProperties"] = {key: _or_null(value) for key, value in patterns.items()}
    return block | changed


def _open(block: Json, instead: dict[str, Json]) -> Json:
    """A block whose settings may stand elsewhere: none is required, and it may extend another entry.

    Args:
        instead: what stands for references to a class, by reference.
    """
    if block.get("type") != "object":
        return block
    properties = {
        name: _or_null(instead.get(value.get("$ref", ""), value)) for name, value in block.get("properties", {}).items()
    }
    properties |= {EXTENDS: {"type": "string", "description": "another entry of the block, that this one takes over"}}
    return {name: value for name, value in block.items() if name != "required"} | {"properties": properties}


def _removable_in_each(kinds: list[Json]) -> None:
    """A setting of one kind of entry may be null in another, which has no such setting: a default is taken away."""
    names = {name for kind in kinds for name in kind["properties"]}
    for kind in kinds:
        kind["properties"] = {name: {"type": "null"} for name in sorted(names)} | kind["properties"]


def _or_null(value: Json) -> Json:
    """Null takes away what was taken over."""
    return {"anyOf": [value, {"type": "null"}]}
