"""Claims: sentences about results, each with an expression over the table of results that says when it holds.

    swd("di-seq", 1) < 0.5 * swd("mdlm", 1)

METRIC(MODEL, TOKEN_STEPS) is a number of the table, where MODEL is the key of a sweep or a reference such as
"exact-sawtooth"; a bound has no token steps; `given` and `temperature` may follow by name. METRIC(MODEL, gflops=50) is
the number at that backbone compute per sample, as tables at matched compute have it. A metric whose name is no word is
written value("zero_shot_ppl/news", MODEL). Numbers are joined by + - * /, abs, log, exp, and max and min of several,
and compared once.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from ladd.config.blocks import Block, Text

Number = Any  # a float, or an array with an element for each training
COMPARED: Mapping[type[ast.cmpop], int] = {ast.Lt: 1, ast.LtE: 1, ast.Gt: -1, ast.GtE: -1}
JOINED: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
FUNCTIONS = ("abs", "exp", "log")
OF_SEVERAL = ("max", "min")
GENERIC = "value"
LARGEST = 1e12  # number of token steps, GFLOPs, temperature


class Quantity(NamedTuple):
    """A number of the table of results."""

    metric: str
    model: str  # key of a sweep, or name of a reference
    token_steps: int | None = None
    given: str = ""
    temperature: float | None = None  # None: the one nearest to 1
    gflops: float | None = None  # in place of token steps: 10^9 multiply-adds of the backbone, a pass for every step


class Claim(Block):
    """One sentence."""

    says: Text
    source: Text = "this suite"  # who says it
    claim: Annotated[str, Field(max_length=1000)] | None = None
    not_run: Text | None = None  # in place of an expression: why nothing here can show it

    @model_validator(mode="after")
    def _check(self) -> Claim:
        if (self.claim is None) == (self.not_run is None):
            raise ValueError("write either claim, an expression, or not_run, the reason why there is none")
        if self.claim is not None:
            quantities(self.claim)
        return self


def sides(claim: str) -> tuple[ast.expr, ast.expr, int]:
    """Both sides of a comparison, and 1 where the first is to be smaller, -1 where it is to be larger.

    Raises:
        ValueError: it is none.
    """
    try:
        tree = ast.parse(claim.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{claim!r} is no expression: {error}") from None
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in COMPARED:
        raise ValueError(f'{claim!r} compares nothing once with < or >, as in swd("di-seq", 1) < swd("mdlm", 1)')
    return tree.left, tree.comparators[0], COMPARED[type(tree.ops[0])]


def quantities(claim: str) -> list[Quantity]:
    """All that a claim looks up, each once, in its order.

    Raises:
        ValueError: it is no comparison, or a part of it is not known.
    """
    found: dict[Quantity, None] = {}

    def note(quantity: Quantity) -> float:
        found[quantity] = None
        return math.nan  # to divide by it, or by a difference from it, is no error

    for side in sides(claim)[:2]:
        try:
            evaluate(side, note, dict.fromkeys((*FUNCTIONS, *OF_SEVERAL), lambda *numbers: numbers[0]))
        except ZeroDivisionError:
            raise ValueError(f"{claim!r} divides by zero") from None
    if not found:
        raise ValueError(f"{claim!r} looks nothing up in the table of results")
    return list(found)


def evaluate(
    node: ast.expr, look_up: Callable[[Quantity], Number], functions: Mapping[str, Callable[..., Number]]
) -> Number:
    """The value of one side of a claim. Raises ValueError: a part of it is not known."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _finite(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -evaluate(node.operand, look_up, functions)
    if isinstance(node, ast.BinOp) and type(node.op) in JOINED:
        left, right = (evaluate(side, look_up, functions) for side in (node.left, node.right))
        return JOINED[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        known = OF_SEVERAL if len(node.args) > 1 else FUNCTIONS
        if node.func.id in known and node.args and not node.keywords:
            return functions[node.func.id](*(evaluate(each, look_up, functions) for each in node.args))
        return look_up(_quantity(node, node.func.id))
    raise ValueError(f'{ast.unparse(node)!r} is no number, no quantity such as swd("mdlm", 1), and nothing of both')


def _finite(number: float) -> float:
    try:
        found = float(number)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError("a number in it is too large")
    return found


def _quantity(node: ast.Call, name: str) -> Quantity:
    try:
        values = [ast.literal_eval(argument) for argument in node.args]
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
        quantity = Quantity(*values, **named) if name == GENERIC else Quantity(name, *values, **named)
    except (ValueError, TypeError):
        raise ValueError(f'{ast.unparse(node)!r} is no quantity; write METRIC("MODEL", TOKEN_STEPS)') from None
    texts, numbers = ("metric", "model", "given"), ("temperature", "gflops")
    kinds = {**dict.fromkeys(texts, str), "token_steps": int | None, **dict.fromkeys(numbers, float | int | None)}
    for field, kind in kinds.items():
        if not isinstance(value := getattr(quantity, field), kind) or isinstance(value, bool):
            raise ValueError(f"{ast.unparse(node)!r}: {field} is {value!r}")
    for field in ("token_steps", *numbers):
        if (value := getattr(quantity, field)) is not None and not 0 < value < LARGEST:
            raise ValueError(f"{ast.unparse(node)[:200]!r}: {field} must be above 0 and below {LARGEST:g}")
    if quantity.token_steps is not None and quantity.gflops is not None:
        raise ValueError(f"{ast.unparse(node)!r}: write token steps or gflops, not both")
    return quantity
