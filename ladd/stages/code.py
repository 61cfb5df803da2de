"""The code that a stage runs: what its modules import, read from the source, and a hash that no comment changes."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ladd.errors import ConfigError

# Files, and folders with all that is in them, that change no number, and why. They are not followed either.
LEFT_OUT: Mapping[str, str] = {
    "ladd/assets/": "finds files; those from outside are pinned by version and hash in the settings",
    "ladd/cluster.py": "starts workers",
    "ladd/config/": "reads params.yaml; what it makes of it is in the plan",
    "ladd/errors.py": "messages",
    "ladd/files.py": "writes whole files, and describes full disks",
    "ladd/git.py": "says which commit runs",
    "ladd/lock.py": "lets one process run at a time",
    "ladd/progress.py": "shows progress",
    "ladd/registry.py": "finds modules; which of them a stage uses is said by name (see `ladd.stages.planned`)",
    "ladd/report/": "draws tables and figures of numbers that are there",
    "ladd/stages/__init__.py": "says when a process started",
    "ladd/stages/code.py": "hashes code",
    "ladd/stages/recorded.py": "files histories and checkpoints in MLflow",
    "ladd/stages/handover.py": "carries inputs and checkpoints between a stage and its workers",
    "ladd/stages/declaration.py": "reads dvc.yaml, and compares settings and files with what they were",
    "ladd/stages/manifest.py": "hashes files and outputs",
    "ladd/stages/plan.py": "writes plan.json",
    "ladd/stages/planned.py": "chooses settings, which are in the plan",
    "ladd/stages/runtime.py": "takes locks and puts outputs into place",
    "ladd/stages/seconds.py": "keeps seconds apart from results",
    "ladd/stages/signals.py": "asks a training to end early",
    "ladd/stages/tracked.py": "files settings in MLflow",
    "ladd/tracking/": "talks to MLflow",
    "ladd/yaml_files.py": "reads YAML, whose values are in the plan",
}


TEMPLATES = "*.j2"
# Attributes of classes that say how things are called, drawn and told. Stages that show nothing do not read them.
WORDS = frozenset(
    (
        *("against", "axis", "bounded", "citation", "colour", "label", "line", "markers"),
        *("meaning", "place", "real_label", "references", "short", "title"),
    )
)


class Target(NamedTuple):
    """A module, or one name of it, that is imported."""

    module: str
    name: str | None = None


@dataclass(frozen=True)
class Module:
    """A source file."""

    file: str  # path from the root of the repository, or from the folder of a suite
    digest: str  # of its statements, `WORDS` left out
    worded: str  # with them
    imports: tuple[Target, ...]  # all that it imports, wherever it does
    exports: Mapping[str, Target]  # names that it takes over from other modules at its top level
    facade: bool  # it is the `__init__` of a package, and imports and nothing else


class Code:
    """The sources of the package and of one suite, each read once. ``folder``: of the suite, whose modules are named
    by their stems."""

    def __init__(self, root: Path, folder: Path | None = None):
        self.root, self.folder = root, folder
        self._modules: dict[str, Module | None] = {}
        self._files: dict[tuple[str | bool | None, ...], dict[str, str]] = {}

    def files(
        self, entries: Sequence[str], *, besides: Sequence[str] = (), without: Sequence[str] = (), words: bool = False
    ) -> dict[str, str]:
        """Digest of every file that importing some modules runs, by its path.

        A name that a package only passes on leads to the module that defines it: its neighbours do not count. Raises
        ConfigError: an entry does not exist, or a file of them is no Python.

        Args:
            entries: modules such as "ladd.stages.stage2".
            besides: keys of `LEFT_OUT` that are followed all the same.
            without: files and folders that are left out as well.
            words: whether `WORDS` count.
        """
        key = (*entries, None, *besides, None, *without, words)
        if (known := self._files.get(key)) is not None:
            return known
        out = (*(each for each in LEFT_OUT if each not in besides), *without)
        found: dict[str, str] = {}
        pending, seen = [Target(entry) for entry in entries], set[Target]()
        for entry in entries:
            if self._module(entry) is None:
                raise ConfigError(f"{self.root}: there is no module {entry}; the repository is not whole")
        while pending:
            if (target := pending.pop()) not in seen:
                seen.add(target)
                pending += self._follow(target, out, found, words=words)
        for folder in {self.root / Path(file).parent for file in found}:
            for path in folder.glob(TEMPLATES):  # a module reads those that lie beside it
                found[path.relative_to(self.root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        self._files[key] = found
        return found

    def digest(self, entries: Sequence[str], **options: Any) -> str:
        """One hash of all these files and of their names; ``options`` are those of `files`."""
        files = self.files(entries, **options)
        return hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]

    def _follow(self, target: Target, out: tuple[str, ...], found: dict[str, str], *, words: bool) -> Iterator[Target]:
        parent = target.module.rpartition(".")[0]
        if parent:
            package = self._module(parent)
            if package is not None and not package.facade:
                yield Target(parent)
        module = self._module(target.module)
        if module is None or module.file.startswith(out):
            return
        if target.name is not None and self._module(f"{target.module}.{target.name}") is not None:
            yield Target(f"{target.module}.{target.name}")
            return
        if target.name is not None and module.facade:
            yield module.exports.get(target.name, Target(target.module))
            return
        if not module.facade:
            found[module.file] = module.worded if words else module.digest
        yield from module.imports

    def _module(self, name: str) -> Module | None:
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> Module | None:
        path = name.replace(".", "/")
        base, files = self.root, [f"{path}/__init__.py", f"{path}.py"]
        if name.partition(".")[0] != "ladd":
            if self.folder is None or "." in name:
                return None
            base, files = self.folder, [f"{path}.py"]
        file = next((file for file in files if (base / file).is_file()), None)
        return None if file is None else read_module(base, file)


def module_of(registered: object) -> str:
    """The module that defines what `ladd.registry` found, as `Code` names it."""
    home = registered.__module__ if isinstance(registered, type) else type(registered).__module__
    return re.sub(r"^ladd_suite_[0-9a-f]{8}\.", "", home)


def read_module(base: Path, file: str) -> Module:
    """A source file without what does not run: docstrings, comments, `__all__` and what only a type checker sees.
    Raises ConfigError: it is no Python."""
    return _parse(base, file, (base / file).read_bytes())


@functools.lru_cache(maxsize=1024)  # a stage looks several times whether its code is as it was
def _parse(base: Path, file: str, source: bytes) -> Module:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{base / file}: {error}") from None
    body = [node for node in tree.body if _runs(node)]
    imports = tuple(dict.fromkeys(target for node in body for target in _imports(node, base, file)))
    exports = {alias.asname or alias.name: target for node in body for alias, target in _aliases(node, base, file)}
    rest = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
    facade = file.endswith("__init__.py") and not rest
    digest, worded = (hashlib.sha256(_text(body, words=words).encode()).hexdigest() for words in (False, True))
    return Module(file, digest, worded, imports, exports, facade)


def _runs(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets] != ["__all__"]
    return not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse)


def _imports(node: ast.AST, base: Path, file: str) -> Iterator[Target]:
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from (Target(alias.name) for alias in each.names)
        yield from (target for _, target in _aliases(each, base, file))


def _aliases(node: ast.AST, base: Path, file: str) -> Iterator[tuple[ast.alias, Target]]:
    if not isinstance(node, ast.ImportFrom):
        return
    beside = node.level == 1 and node.module is not None and "/" not in file  # within the folder of a suite
    if (node.level and not beside) or any(alias.name == "*" for alias in node.names):
        raise ConfigError(f"{base / file}, line {node.lineno}: write out what is imported; . and * are not followed")
    yield from ((alias, Target(str(node.module), alias.name)) for alias in node.names)


_UNSEEN = {"ctx", "kind", "type_comment"}


def _text(node: object, *, words: bool) -> str:
    """A syntax tree as text, the same on every version of Python: what newer ones add is empty, and left out."""
    if isinstance(node, list):
        kept = (each for each in node if not isinstance(each, ast.AST) or _runs(each))
        return f"[{','.join(_text(each, words=words) for each in kept)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.ClassDef) and not words:
        fields["body"] = [each for each in node.body if not _names_words(each)]
    seen = ((n, v) for n, v in fields.items() if v is not None and v != [] and n not in _UNSEEN)
    return f"{type(node).__name__}({','.join(f'{n}={_text(v, words=words)}' for n, v in seen)})"


def _names_words(node: ast.stmt) -> bool:
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target) in WORDS
    if not isinstance(node, ast.Assign):
        return False
    named = [name for target in node.targets for name in getattr(target, "elts", [target])]
    return {ast.unparse(name) for name in named} <= WORDS
