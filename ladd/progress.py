"""Progress bars on standard error, for all that may take longer than ten seconds."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


class _StandardError:
    """sys.stderr, which may go away, as a closed terminal or a pipe without a reader does, without ending the work."""

    def write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stderr.fileno())  # what comes, and what is still in its buffer

    def flush(self) -> None:
        """Nothing is held back."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


STANDARD_ERROR: Any = _StandardError()


def bar(
    title: str, total: int | None, unit: str, *, initial: int = 0, hidden: bool = False, scale: bool = False
) -> tqdm:
    """A bar with an ETA that is moved by hand, in a ``with`` block; inside of another one it shows nothing.

    Args:
        total: units in all; None if nobody knows, and then there is a count without an ETA.
        initial: units done by an earlier run.
        scale: write large counts as 1.2M.
    """
    return tqdm(
        total=total,
        initial=initial,
        desc=title,
        unit=unit,
        file=STANDARD_ERROR,
        mininterval=1.0,
        disable=hidden or len(tqdm._instances) > 0,  # type: ignore[attr-defined]  # those that are open
        unit_scale=scale,
    )


def counted(items: Iterable[Item], title: str, unit: str, *, total: int | None = None) -> Iterator[Item]:
    """The same items, with a bar that counts them; ``total`` where they have no length."""
    with bar(title, len(items) if isinstance(items, Sized) else total, unit) as progress:
        for item in items:
            yield item
            progress.update()
