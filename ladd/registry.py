"""Registries by discovery: what the modules of a package, and of a suite's folder, define is known by its ``name``."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from hashlib import blake2b
from importlib import import_module, invalidate_caches
from inspect import isabstract
from pathlib import Path
from types import ModuleType
from typing import Any

from ladd.errors import ConfigError, nearest

PARAMS = "params.yaml"  # a folder that holds one is that of a suite
_folder: ContextVar[Path | None] = ContextVar("folder of the suite", default=None)


@contextmanager
def suite_folder(folder: Path) -> Iterator[None]:
    """Within it, the modules of this folder register; otherwise those of the working directory do."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def discover(package: str, base: type) -> dict[str, Any]:
    """What is registered on one axis, by name, in alphabetical order of the modules; the suite's own comes last.

    A module registers the concrete subclasses of ``base`` that it defines, and the instances of ``base`` in its
    namespace, each by its attribute ``name``. What has no name of its own is a base class.

    Args:
        package: that holds the built-in modules, such as "ladd.samplers".
    Raises:
        ConfigError: two have one name, or a module of the suite's folder cannot be imported.
    """
    found = dict(_built_in(package, base))
    folder = (_folder.get() or Path.cwd()).resolve()
    if (folder / PARAMS).is_file():
        for path in sorted(folder.glob("[!_.]*.py")):
            _register(found, _suite_module(path), base)
    return found


def find(package: str, base: type, name: str, key: str) -> Any:
    """What is registered under a name.

    Args:
        key: of params.yaml that holds the name, for the message.
    Raises:
        ConfigError: nothing is.
    """
    registered = discover(package, base)
    if name not in registered:
        raise ConfigError(
            f"{key}: {name!r} is not registered{nearest(name, registered)}; known are {sorted(registered)}"
        )
    return registered[name]


@cache
def _built_in(package: str, base: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in sorted(pkgutil.iter_modules(import_module(package).__path__), key=lambda module: module.name):
        _register(found, import_module(f"{package}.{module.name}"), base)
    return found


def _register(found: dict[str, Any], module: ModuleType, base: type) -> None:
    for value in vars(module).values():
        if isinstance(value, type):
            # A class that is imported belongs to the module that defines it.
            entry = issubclass(value, base) and value.__module__ == module.__name__ and not isabstract(value)
        else:
            entry = isinstance(value, base)
        name = getattr(value, "name", None) if entry else None
        if not isinstance(name, str):
            continue
        _check_whole(value, base, f"{module.__file__}: {name!r}")
        if found.setdefault(name, value) is not value:
            raise ConfigError(
                f"{module.__file__}: {name!r} is the name of another {base.__name__}, in "
                f"{sys.modules[_home(found[name])].__file__}; rename one"
            )


def _check_whole(value: Any, base: type, what: str) -> None:
    """Refuse a class that lacks an attribute which ``base`` declares without a value. Raises ConfigError."""
    for attribute, kind in getattr(base, "__annotations__", {}).items():
        if str(kind).startswith("ClassVar") and not hasattr(value, attribute):
            raise ConfigError(f"{what} has no attribute {attribute!r}; write one, as every {base.__name__} has it")


def _home(value: Any) -> str:
    """Module that defines a class, or the class of an instance."""
    return value.__module__ if isinstance(value, type) else type(value).__module__


def _suite_module(path: Path) -> ModuleType:
    """A module of a suite's folder, imported once. The folder is a package, so its modules can import each other."""
    package = f"ladd_suite_{blake2b(str(path.parent).encode(), digest_size=4).hexdigest()}"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(path.parent)]
    name = f"{package}.{path.stem}"
    if name not in sys.modules:
        invalidate_caches()  # the file may be new
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        said = " ".join(str(error).split())
        raise ConfigError(
            f"{path} cannot be imported: {type(error).__name__}: {said}; mend it, or let its name begin with _"
        ) from error
