"""One's own data and tokenizers on the Hugging Face hub: looked up once, pinned, and fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ladd.assets import asset_folder
from ladd.config import AssetConfig
from ladd.errors import AssetError
from ladd.launch.own_data import Found, check_files, choose_files

TOKENIZER = "tokenizer.json"
REMEDY = {
    "dataset": "download it where there is a network, and pass the file or folder (--data PATH)",
    "model": "download its tokenizer.json where there is a network, and pass that file (--tokenizer PATH)",
}


def hub_asset(name: str, kind: Literal["model", "dataset"]) -> tuple[dict[str, Any], list[str]]:
    """Block of params.yaml of a repository at the commit of today, and the names of its files.

    Raises:
        AssetError: the hub cannot be asked, or does not have it.
    """
    import huggingface_hub

    try:
        info = huggingface_hub.HfApi().repo_info(repo_id=name, repo_type=kind)
    except Exception as error:  # of the hub, or of its HTTP library
        said = " ".join(str(error).split())[:200]
        raise AssetError(
            f"{name} is no file or folder here, and the {kind} of that name on the hub cannot be looked up "
            f"({type(error).__name__}: {said}); correct the name, or {REMEDY[kind]}"
        ) from error
    files = [sibling.rfilename for sibling in getattr(info, "siblings", None) or []]
    return {"source": "hub", "name": name, "revision": info.sha, "kind": kind}, files


def find_hub_data(name: str, root: Path, encoding: str) -> Found:
    """The documents of a data set: files of its training split where their names say so.

    Raises:
        AssetError: see `hub_asset`.
        ConfigError: no file has a format that is known, or one is not of the encoding.
    """
    asset, names = hub_asset(name, "dataset")
    names = [each for each in names if not each.startswith(".")]
    data = [each for each in names if not each.lower().endswith((".md", ".py"))]  # its card is no text of it
    of_train = [each for each in data if "train" in Path(each).name]
    files, kind, notes = choose_files(of_train or data, name)
    if of_train:
        files = files.replace("**/*", "**/*train*")
        notes.append(f"of its {len(data)} files, {len(of_train)} are of the training split")
    asset |= {"file": files.removeprefix("**/")}
    path = asset_folder(AssetConfig.model_validate(asset), root)
    found = Found(asset, path, files, kind, encoding=encoding, notes=notes)
    check_files(found)
    return found


def hub_tokenizer(name: str) -> dict[str, Any]:
    """Asset of the tokenizer.json of a model.

    Raises:
        AssetError: see `hub_asset`, or it has none.
    """
    asset, names = hub_asset(name, "model")
    if TOKENIZER not in names:
        raise AssetError(f"--tokenizer: {name} has no {TOKENIZER}; name a model that has one, bpe or character")
    return asset | {"file": TOKENIZER}
