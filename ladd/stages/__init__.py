"""One module per DVC stage. Each is run as ``python -m ladd.stages.NAME KEY`` in the folder of a suite."""

import sys
import time
from types import TracebackType

STARTED = time.time()  # of the process of a stage: the code that it imports was read after it


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while a stage still imports is no fault of the code: one line."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[0] == "-m":  # Python is looking for the module of a stage, to run it
    sys.excepthook = _show
