"""Checks one after the other, within a budget of seconds; whatever fails, the others go on."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch

from benchmarks.gpu.setting import Check, Part, Setting, UnexpectedError, Values

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped: budget"
Clock = Callable[[], float]


@dataclass(frozen=True)
class Result:
    """What became of a part."""

    check: str
    part: str
    status: str
    seconds: float = 0.0
    values: Values = field(default_factory=dict)
    error: str = ""


def run_checks(
    checks: Sequence[Check], setting: Setting, budget: float, clock: Clock = time.monotonic
) -> Iterator[Result]:
    """The results of all parts, each as soon as it is there.

    Each check has a share of the budget, and what those before it left. A part that would end later, if it took as long
    as the mean one of its check, is skipped.

    Args:
        checks: in their order.
        setting: where they run.
        budget: seconds for all of them.
        clock: seconds.
    """
    start, shares, used = clock(), sum(check.share for check in checks), 0.0
    for check in checks:
        used += check.share / shares
        taken: list[float] = []
        for part in _parts(check, setting):
            before = clock()
            if before - start + (fmean(taken) if taken else 0.0) > used * budget:
                yield Result(check.name, part.name, SKIPPED)
                continue
            status, values, error = _outcome(part)
            if setting.device.type == "cuda":
                _free()
            taken.append(clock() - before)
            yield Result(check.name, part.name, status, taken[-1], values, error)


def _parts(check: Check, setting: Setting) -> Iterator[Part]:
    """Those of a check, and one that fails where they cannot be made."""
    parts = iter(check.parts(setting))
    while True:
        try:
            part = next(parts)
        except StopIteration:
            return
        except Exception as error:
            yield Part("set-up", _raiser(error))
            return
        yield part


def _raiser(error: Exception) -> Callable[[], Values]:
    def fail() -> Values:
        raise error

    return fail


def _outcome(part: Part) -> tuple[str, Values, str]:
    """Status, values, and what went wrong."""
    try:
        return PASSED, part.measure(), ""
    except UnexpectedError as unexpected:
        return FAILED, unexpected.values, str(unexpected)
    except Exception:  # an independent part: its traceback is its result
        return FAILED, {}, traceback.format_exc()


def _free() -> None:
    """Give back what a part held; a model of the paper and its optimiser are gigabytes."""
    gc.collect()
    torch.cuda.empty_cache()
