"""Commands and their arguments: numbers with their bounds, lists with commas, folders of suites."""

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ladd.config.messages import cut
from ladd.errors import ConfigError, nearest

MOST = 2**31 - 1
DIGITS = 20  # of a whole number, its sign among them


class Parser(argparse.ArgumentParser):
    """A parser whose errors about unknown words name the nearest that there is."""

    def error(self, message: str) -> NoReturn:
        found = re.search(r"(?:invalid choice: |unrecognized arguments: )'?([\w-]+)", message)
        super().error(message + (nearest(found[1], _words(self)) if found else ""))


def _words(parser: argparse.ArgumentParser) -> set[str]:
    """Options, commands and choices of a parser and of those below it."""
    words: set[str] = set()
    for action in parser._actions:
        words |= {*action.option_strings, *map(str, action.choices or ())}
        below = action.choices.values() if isinstance(action, argparse._SubParsersAction) else ()
        words = words.union(*map(_words, below))
    return words


def add_command(
    commands: argparse._SubParsersAction, name: str, run: Callable[[argparse.Namespace], None], **texts: Any
) -> argparse.ArgumentParser:
    """Add a command; a parsed one has its function in ``run``, and its parser in ``parser``."""
    parser = commands.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter, **texts)
    parser.set_defaults(run=run, parser=parser)
    return parser


def whole(least: int, most: int = MOST) -> Callable[[str], Any]:
    """A reader of whole numbers from ``least`` to ``most``."""
    return _reader(int, "whole number", least, most)


def number(least: float = -math.inf, most: float = math.inf, *, above: float = -math.inf) -> Callable[[str], Any]:
    """A reader of finite numbers from ``least`` to ``most``, or above ``above``."""
    return _reader(float, "number", least, most, above)


def _reader(kind: type, name: str, least: float, most: float, above: float = -math.inf) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if kind is int and len(text) > DIGITS:
            raise argparse.ArgumentTypeError(f"{text[:DIGITS]}... is too long for a whole number")
        value = kind(text)
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{text[:DIGITS]} must be finite")
        bounds = ("at least", least, value >= least), ("at most", most, value <= most), ("above", above, value > above)
        for words, bound, kept in bounds:
            if not kept:
                raise argparse.ArgumentTypeError(f"{text} must be {words} {bound}")
        return value

    read.__name__ = name  # in the message for what is no number
    return read


def check_suite_folder(folder: str | Path) -> None:
    """Refuse what is no folder. Raises ConfigError: naming the option."""
    if not os.path.isdir(folder):  # of Path, it raises over a name that is too long
        raise ConfigError(f"--suite: {cut(str(folder))} is no folder; name one that has a params.yaml")


def names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def wholes(text: str) -> list[int]:
    return [int(word) for word in names(text)]
