"""The names that `import ladd` gives, imported where they are first used: torch takes seconds, and the command line and
workers that import a module of the package do without most of them.
"""

import sys
from importlib import import_module
from typing import Any

NAMES = {
    "Drawn": "ladd.generation.draw",
    "LaddError": "ladd.errors",
    "Latents": "ladd.generation.model",
    "Model": "ladd.generation.model",
    "load": "ladd.generation.load",
    "sample": "ladd.generation.denoiser",
}
VERSION = "__version__"


def look_up(name: str) -> Any:
    """A name of the package, for its ``__getattr__``. Raises AttributeError: it has no such name."""
    if name == VERSION:
        from importlib.metadata import version

        return version("ladd")
    if name not in NAMES:
        raise AttributeError(f"module 'ladd' has no attribute {name!r}")
    value = getattr(import_module(NAMES[name]), name)
    setattr(sys.modules["ladd"], name, value)  # the next time it is there
    return value


def list_names() -> list[str]:
    """Public names of the package, for its ``__dir__``."""
    return sorted([*NAMES, VERSION])
