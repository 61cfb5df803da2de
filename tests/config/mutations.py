"""Changes to a params.yaml that its owner never made: extreme numbers, wrong types, keys gone, garbage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

FLOATS = [0.0, -0.0, -1.0, 5e-324, 1e-320, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.5, 0.9, 1 - 1e-16, 1.0, 1.0000001, 2.0]
FLOATS += [10.0, 100.0, 1e3, 1e6, 1e9, 1e300, math.inf, -math.inf, math.nan]
INTEGERS = [-(2**63), -1, 0, 1, 2, 3, 4, 5, 8, 16, 33]
LARGE = [255, 1000, 65536, 10**6, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30]
WORDS = ["linear", "polynomial", "geometric", "cosine", "sqrt", "elbo", "constant", "independent", "shared", "joint"]
WORDS += ["sequential", "none", "float32", "float64", "bfloat16", "discrete", "continuous", "mdlm", "ar", "co-ladd"]
WORDS += ["di-ladd", "sawtooth", "text", "prefix", "random", "aligned", "adaptive", "pca", "truncate", "ddp"]
# Those of one place.
ALTERNATIVES = [
    *(("linear", "polynomial", "geometric", "cosine"), ("linear", "cosine", "sqrt"), ("elbo", "constant")),
    *(("independent", "shared"), ("joint", "sequential", "none"), ("float32", "float64"), ("float32", "bfloat16")),
    *(("constant", "cosine"), ("mdlm", "ar"), ("co-ladd", "di-ladd"), ("continuous", "discrete")),
]
STRINGS = ["", " ", ".", "..", "a/b", "a.b", "\0", "\n", "é", "x" * 10_000, "1.0", "null", "3e-4", "-"]

Place = tuple[Any, ...]


def places(values: Any) -> Iterator[Place]:
    """Every place below some values, to a depth that no params.yaml goes beyond."""
    pending: list[tuple[Place, Any]] = [((), values)]
    while pending:
        place, value = pending.pop()
        if place:
            yield place
        if isinstance(value, dict | list) and len(place) < 7:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            pending += [((*place, key), each) for key, each in pairs]


def deep(depth: int) -> dict:
    """Maps in maps."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def garbage() -> st.SearchStrategy:
    """Any value that YAML can give."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    keys = st.text(max_size=5)
    nested = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=5,
    )
    known = st.sampled_from([*FLOATS, *INTEGERS, *LARGE, *WORDS, *STRINGS, None, True, False])
    # Built when they are drawn: Python does not write a number of so many digits, and a change must not reach a list
    # that the next example has too.
    large = st.builds(pow, st.just(16), st.just(6000)) | st.builds(deep, st.sampled_from([3, 1500]))
    return known | nested | large | st.builds(range, st.just(500)).map(list)


def plausible() -> st.SearchStrategy:
    """Values of the types that a params.yaml has, none of them of much work."""
    return st.sampled_from([*FLOATS, *INTEGERS, 10**30, *WORDS, None, True, False])


@st.composite
def mutated(
    draw: st.DrawFn, base: dict, value: st.SearchStrategy, most: int = 3, wanted: Callable[[Place], bool] = bool
) -> dict:
    """Values of a params.yaml with one to ``most`` changes at the places that are wanted.

    A change puts a value, or one from elsewhere in the file, into a place, removes the place, gives it another name, or
    adds an unknown key beside it.
    """
    values = json.loads(json.dumps(base))
    for _ in range(draw(st.integers(1, most))):
        if not (found := [place for place in places(values) if wanted(place)]):
            break
        *path, last = draw(st.sampled_from(found))
        holder = _at(values, path)
        match draw(st.sampled_from(["put", "put", "put", "swap", "remove", "rename", "add"])):
            case "put":
                holder[last] = draw(value)
            case "swap":
                holder[last] = json.loads(json.dumps(_at(base, draw(st.sampled_from(list(places(base)))))))
            case "remove":
                del holder[last]
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from([*STRINGS, "exact-sawtooth", 3, None]))] = holder.pop(last)
            case _ if isinstance(holder, dict):
                holder["unknown"] = draw(value)
            case _:
                holder.append(draw(value))
    return values


def alternatives(value: Any) -> st.SearchStrategy | None:
    """Values of the type that a place has, where it holds no others; None for a mapping and for what is not known."""
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, int):
        return st.sampled_from(INTEGERS)
    if isinstance(value, float):
        return st.sampled_from(FLOATS)
    if isinstance(value, str):
        words = [word for group in ALTERNATIVES if value in group for word in group if word != value]
        return st.sampled_from(words) if words else None
    if isinstance(value, list) and value and (each := alternatives(value[0])) is not None:
        return st.lists(each, min_size=1, max_size=3)
    return None


@st.composite
def adjusted(draw: st.DrawFn, base: dict, most: int = 3, wanted: Callable[[Place], bool] = bool) -> dict:
    """Values of a params.yaml, of which one to ``most`` are others of their type: here, or wherever the key is.

    Many of them are taken, as sizes that must agree can change together.
    """
    values = json.loads(json.dumps(base))
    keyed = [place for place in places(values) if wanted(place) and isinstance(place[-1], str)]
    found = [place for place in keyed if alternatives(_at(base, place)) is not None]
    for _ in range(draw(st.integers(1, most))):
        chosen = draw(st.sampled_from(found))
        new, everywhere = draw(alternatives(_at(base, chosen))), draw(st.sampled_from([False, False, False, True]))
        for *path, last in [place for place in found if place[-1] == chosen[-1]] if everywhere else [chosen]:
            holder = _at(values, path)
            if type(holder[last]) is type(new):
                holder[last] = json.loads(json.dumps(new))
    return values


def _at(values: Any, place: list | Place) -> Any:
    for key in place:
        values = values[key]
    return values


def numbers_of(value: Any) -> Iterator[int | float]:
    """Every number below a value."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers_of(each)
    elif isinstance(value, int | float):
        yield value
