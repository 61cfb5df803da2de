"""What all data sets have in common, and assets from elsewhere. The settings of a task stand with it, in ladd.tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ladd.config.blocks import Block, Text
from ladd.errors import ConfigError

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
COMMIT = re.compile("[0-9a-f]{40}")
Tokens = Annotated[int, Field(ge=1, le=2**20)]


class DataConfig(Block):
    """A block of `data`; each task has a class of its own, chosen by `kind`.

    Attributes:
        packages: that the task imports and an installation may lack.
        extra: of this package, with which they are installed.
    """

    task: ClassVar[Any]
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    kind: str  # name of the task
    tokens: Tokens  # N

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        raise NotImplementedError


def check_packages(data: Mapping[str, DataConfig]) -> None:
    """Whether all packages that tasks need are installed.

    Raises:
        ConfigError: one is not; it says how to install it.
    """
    for key, config in data.items():
        if missing := [name for name in config.packages if find_spec(name) is None]:
            raise ConfigError(
                f"data.{key}.kind: {config.kind!r} needs {' and '.join(missing)}, which this Python lacks; run "
                f"`make install-{config.extra}` or `pip install '.[{config.extra}]'` in the repository"
            )


class AssetConfig(Block):
    """A file or folder from elsewhere, pinned (docs/ASSETS.md)."""

    source: Literal["wheel", "hub", "path"]
    name: Text  # of the package, of the repository ("org/name"), or the path from the root of this repository
    # Version of the wheel, commit of the hub repository. Where the latter is null, the first fetch looks the commit up,
    # says which to write here, and stops.
    revision: Text | None = None
    branch: Text | None = None  # hub only: where a null revision is looked up; null for main
    file: Text | None = None  # file name of the wheel; files wanted of a hub repository (a glob)
    kind: Literal["model", "dataset"] | None = None  # hub only
    sha256: Sha256 | None = None  # of the wheel, or of the listing of a folder

    @model_validator(mode="after")
    def _check(self) -> AssetConfig:
        if (self.source == "hub") != (self.kind is not None):
            raise ValueError(f"kind is {self.kind}: hub assets need 'model' or 'dataset', {self.source} assets null")
        if self.source != "hub" and self.branch is not None:
            raise ValueError(f"branch is {self.branch!r}: only hub assets have one, set it to null")
        if self.source == "path" and self.revision is not None:
            raise ValueError(f"revision is {self.revision!r}: a path asset has none, set it to null")
        if self.source == "wheel" and self.revision is None:
            raise ValueError("revision is null: a wheel asset must be pinned, write its version")
        if self.source == "hub" and self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"revision is {self.revision!r}: branches and tags of the hub move, write a commit (40 hexadecimal "
                "digits), or null, and the first fetch says which"
            )
        if self.source == "wheel" and self.file is None:
            raise ValueError("file must be given for a wheel: its exact name, which says for what machines it is")
        return self
