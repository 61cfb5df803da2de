"""Models and datasets of the Hugging Face hub, in the hub's own cache."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ladd.assets.hashes import check_form, check_hash, listing_hash
from ladd.errors import AssetError

if TYPE_CHECKING:
    from ladd.config import AssetConfig

log = logging.getLogger(__name__)


def fetch_hub(asset: AssetConfig) -> Path:
    """The folder of a snapshot. A commit that is cached needs no network; a branch is looked up each time.

    Args:
        asset: ``file`` is a glob of the wanted files, or None for all. ``sha256``, where given, is the listing hash of
            those files alone: the cache may hold more of the same snapshot.
    Raises:
        AssetError: the hub cannot be reached, does not have it, or does not give it to this user.
    """
    check_form(asset)
    if asset.revision is None:
        raise AssetError(f"asset {asset.name}: revision is null; set it to a commit from its page on the hub")
    folder = _snapshot(asset)
    files = _wanted(asset, folder)
    if not files:
        raise AssetError(f"asset {asset.name}: no file matches file {asset.file!r} at revision {asset.revision}")
    if asset.sha256 is not None:
        check_hash(asset, listing_hash(folder, files), f"snapshot {folder}", "Delete that folder and fetch again")
    if folder.name != asset.revision:  # the hub names the folder after the commit
        log.info("%s: revision %s is commit %s today; pin that", asset.name, asset.revision, folder.name)
    return folder


def _snapshot(asset: AssetConfig) -> Path:
    import huggingface_hub  # not on every machine, and slow to import

    try:
        return Path(
            huggingface_hub.snapshot_download(
                repo_id=asset.name, repo_type=asset.kind, revision=asset.revision, allow_patterns=asset.file
            )
        )
    except Exception as error:  # of the hub, of its HTTP library, or of the disk: each means that there is no asset
        raise AssetError(
            f"asset {asset.name}, revision {asset.revision}: {_remedy(asset, error)}. "
            f"The hub's client said: {type(error).__name__}: {' '.join(str(error).split())[:500]}"
        ) from error


def _remedy(asset: AssetConfig, error: Exception) -> str:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():  # a RepositoryNotFoundError too, so it comes first
            return "access is granted on request; ask for it on its page on the hub, then run `hf auth login`"
        case errors.RepositoryNotFoundError():
            return f"the hub has no such {asset.kind or 'model'}; correct name or kind, or log in if it is private"
        case errors.RevisionNotFoundError():
            return "the hub has no such revision; set it to a commit from its page on the hub"
        case errors.HFValidationError():
            return "the hub takes no such name; write ORGANISATION/REPOSITORY"
    return (
        "the hub cannot be reached and its cache lacks files; connect this machine once, copy the hub's cache "
        '($HF_HOME) from one that has them, or give a local copy as source "path"'
    )


def _wanted(asset: AssetConfig, folder: Path) -> list[Path]:
    from huggingface_hub.utils import filter_repo_objects

    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [folder / name for name in filter_repo_objects(names, allow_patterns=asset.file)]
