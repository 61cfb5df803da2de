"""Models and datasets of the Hugging Face hub, in the hub's own cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ladd.assets.store import check_hash, listing_hash
from ladd.errors import AssetError

if TYPE_CHECKING:
    from ladd.config import AssetConfig

MAIN = "main"  # branch of a repository where no other is named


def fetch_hub(asset: AssetConfig) -> Path:
    """The folder of a snapshot; one that is cached needs no network.

    Args:
        asset: ``file`` is a glob of the wanted files, or None for all. ``sha256``, where given, is the listing hash of
            those files alone: the cache may hold more of the same snapshot.
    Raises:
        AssetError: the hub cannot be reached, does not have it, or does not give it to this user; or the revision is
            null, and then the error names the commit to write.
    """
    if asset.revision is None:
        raise AssetError(describe_unpinned(asset, asset.name))
    import huggingface_hub  # not on every machine, and slow to import

    with _asking(asset, f"revision {asset.revision}"):
        folder = Path(
            huggingface_hub.snapshot_download(
                repo_id=asset.name, repo_type=asset.kind, revision=asset.revision, allow_patterns=asset.file
            )
        )
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    wanted = huggingface_hub.utils.filter_repo_objects(names, allow_patterns=asset.file)
    files = [folder / name for name in wanted]
    if not files:
        raise AssetError(f"asset {asset.name}: no file matches file {asset.file!r} at revision {asset.revision}")
    if asset.sha256 is not None:
        check_hash(asset, listing_hash(folder, files), f"snapshot {folder}", "Delete that folder and fetch again")
    return folder


def check_pinned(assets: Mapping[str, AssetConfig]) -> None:
    """Look up the commits of all assets of the hub that have none, before anything is fetched.

    Args:
        assets: by their keys in params.yaml.
    Raises:
        AssetError: there are such assets; it names key and commit of each.
    """
    unpinned = {key: asset for key, asset in assets.items() if asset.source == "hub" and asset.revision is None}
    if unpinned:
        raise AssetError("\n".join(describe_unpinned(asset, key) for key, asset in unpinned.items()))


def describe_unpinned(asset: AssetConfig, key: str) -> str:
    """What to write for a null revision: the commit that the branch of the asset is at today.

    Args:
        key: of the asset in params.yaml, or its name.
    Raises:
        AssetError: the hub cannot be asked; the error says how to ask it elsewhere.
    """
    import huggingface_hub

    branch = asset.branch or MAIN
    place = f"https://huggingface.co/{'datasets/' if asset.kind == 'dataset' else ''}{asset.name}"
    unknown = (
        f"{key}.revision is null, and its branch {branch} cannot be looked up (where there is a network, "
        f"`git ls-remote {place} {branch}` prints the commit to write)"
    )
    with _asking(asset, unknown):
        commit = huggingface_hub.HfApi().repo_info(repo_id=asset.name, repo_type=asset.kind, revision=branch).sha
    return (
        f"{key}.revision is null, and the branch {branch} of {asset.name} may move; look at what it holds today, "
        f"{place}/tree/{commit}, and pin it:\n    revision: {commit}"
    )


@contextmanager
def _asking(asset: AssetConfig, what: str) -> Iterator[None]:
    """Whatever the hub refuses within becomes an error with a remedy; ``what`` says what was wanted."""
    try:
        yield
    except Exception as error:  # of the hub, of its HTTP library, or of the disk: each means that there is no asset
        raise AssetError(
            f"asset {asset.name}, {what}: {_remedy(asset, error)}. "
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
