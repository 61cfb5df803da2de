"""From the files of an asset to rows of tokens, and to what samples are compared with."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ladd.assets import asset_files, asset_folder
from ladd.config import Suite
from ladd.data import chemistry
from ladd.data.shards import token_type, write_shards
from ladd.diffusion.noise import derive
from ladd.errors import ArtifactError, ConfigError, reading
from ladd.files import write_json
from ladd.metrics.molecules import Statistics
from ladd.tasks.molecules.settings import COMPUTED, MoleculesConfig
from ladd.tasks.molecules.tokenizer import MoleculeTokenizer, padded

TOKENIZER = "tokenizer/tokenizer.json"  # within the artefact of a data set
REFERENCE = "reference"
REMEDY = "it is not what data.files says: correct the paths, or fetch the asset again"
AT_A_TIME = 65536  # strings that are encoded


def build_splits(suite: Suite, key: str, config: MoleculesConfig, folder: Path) -> None:
    """The tokenizer, rows of training and validation strings, and what samples are compared with."""
    asset = asset_folder(config.asset, Path(suite.root))
    files = config.files
    train, test = (read_strings(asset, path, files.column) for path in (files.train, files.test))
    tokenizer = MoleculeTokenizer.train(config.tokenizer.kind, [*train, *test], config.vocabulary)
    if tokenizer.vocabulary != config.vocabulary:
        raise ConfigError(
            f"data.{key}.tokenizer.vocabulary: {config.vocabulary}, but the strings have {tokenizer.vocabulary} tokens "
            "of this kind, padding among them; write that number"
        )
    tokenizer.save(folder / TOKENIZER)
    description: dict[str, Any] = {"tokens": config.tokens, "vocabulary": config.vocabulary}
    for split, texts in (("train", train), ("validation", test)):
        drawn = draw(texts, getattr(config, split), derive(suite.seed, "molecules", split), f"data.{key}.{split}")
        description[split] = write_rows(folder / split, drawn, tokenizer, config, suite.run.shard, key)
    write_json(folder / "description.json", description)
    reference = folder / REFERENCE
    reference.mkdir()
    np.save(reference / "known.npy", np.unique(hashes(train if files.canonical else chemistry.valid(train))))
    write_json(reference / "filters.json", read_patterns(asset, files.filters))
    for name, strings, statistics in (
        ("test", files.test, files.statistics),
        ("test_scaffolds", files.test_scaffolds, files.statistics_scaffolds),
    ):
        if statistics == COMPUTED:
            found = statistics_of(chemistry.valid(read_strings(asset, strings, files.column)))
        else:
            found = read_moses(asset_files(asset, statistics)[0])
        save_statistics(reference / name, found)


def read_strings(asset: Path, path: str, column: str) -> list[str]:
    """The column of a CSV file, packed or not.

    Raises:
        ArtifactError: it has no such column, or nothing in it.
    """
    import polars as pl

    (file, *_) = asset_files(asset, path)
    with reading(file, REMEDY):
        table = pl.read_csv(file, infer_schema=False)
    if column not in table.columns or not table.height:
        raise ArtifactError(f"{file} has no column {column!r} with strings; it has {table.columns}")
    return table[column].drop_nulls().to_list()


def draw(texts: list[str], count: int | None, seed: int, key: str) -> list[str]:
    """Strings in random order, as many as wanted.

    Raises:
        ConfigError: there are not so many.
    """
    if count is not None and count > len(texts):
        raise ConfigError(f"{key}: {count} strings, but the file has {len(texts)}; lower it")
    order = np.random.default_rng(seed).permutation(len(texts))[:count]
    return [texts[place] for place in order]


def write_rows(
    folder: Path, texts: list[str], tokenizer: MoleculeTokenizer, config: MoleculesConfig, shard: int, key: str
) -> dict[str, int]:
    """Write strings as padded rows, and say how many there are and how many were too long.

    Raises:
        ConfigError: some are longer than N, and that was not allowed.
    """
    parts, longest = [], 0
    for start in range(0, len(texts), AT_A_TIME):
        rows = list(tokenizer.encode_rows(texts[start : start + AT_A_TIME]))
        longest = max(longest, *map(len, rows))
        parts.append(padded(rows, config.tokens, token_type(config.vocabulary), len(rows)))
    kept = sum(map(len, parts))
    if kept < len(texts) and config.longer == "error":
        raise ConfigError(
            f"data.{key}.tokens: {config.tokens}, but {len(texts) - kept} of {len(texts)} strings are longer, up to "
            f"{longest} tokens; raise it, or leave them out (data.{key}.longer: drop)"
        )
    write_shards(folder, parts, tokens=config.tokens, vocabulary=config.vocabulary, shard=shard)
    return {"strings": kept, "dropped": len(texts) - kept, "longest": longest}


def hashes(texts: Sequence[str]) -> np.ndarray:
    """64 bits of each string, uint64 (n,): among millions of strings two alike are a matter of one in a million."""
    return np.array([int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) for text in texts], np.uint64)


def read_patterns(asset: Path, paths: list[str]) -> list[str]:
    """SMARTS of unwanted substructures.

    Raises:
        ArtifactError: one is no SMARTS.
    """
    found: list[str] = []
    for path in paths:
        (file, *_) = asset_files(asset, path)
        with reading(file, REMEDY), file.open(newline="") as lines:
            head, *rows = csv.reader(lines)  # it takes the blanks behind a quoted field, which polars refuses
            place = head.index("smarts") if "smarts" in head else 0
            found += [row[place].strip() for row in (rows if "smarts" in head else [head, *rows])]
        if wrong := [each for each in found if chemistry.pattern(each) is None]:
            raise ArtifactError(f"{file}: {wrong[0]!r} is no SMARTS; correct data.files.filters")
    return found


def statistics_of(texts: list[str]) -> Statistics:
    """Of canonical strings."""
    mean, covariance = chemistry.moments(chemistry.activations(texts))
    packed = np.packbits(chemistry.fingerprints(texts), axis=1)
    return Statistics(mean, covariance, packed, chemistry.fragments(texts), chemistry.scaffolds(texts))


def read_moses(path: Path) -> Statistics:
    """What MOSES computed of a set: a pickled dictionary, of an asset that is pinned by its hash."""
    with reading(path, REMEDY), np.load(path, allow_pickle=True) as file:
        found = file["stats"].item()
        packed = np.packbits(found["SNN"]["fps"], axis=1)
        mean, covariance = (found["FCD"][name] for name in ("mu", "sigma"))
    return Statistics(mean, covariance, packed, Counter(found["Frag"]["frag"]), Counter(found["Scaf"]["scaf"]))


def save_statistics(folder: Path, statistics: Statistics) -> None:
    folder.mkdir()
    for name, value in statistics._asdict().items():
        if isinstance(value, Counter):
            write_json(folder / f"{name}.json", dict(sorted(value.items())))
        else:
            np.save(folder / f"{name}.npy", value)


def load_statistics(folder: Path) -> Statistics:
    """Read what `save_statistics` wrote."""
    values: list[Any] = []
    for name in Statistics._fields:
        path = folder / f"{name}.json"
        if path.is_file():
            values.append(Counter(json.loads(path.read_text())))
        else:
            with reading(path.with_suffix(".npy"), "remove artifacts/data and run `dvc repro`"):
                values.append(np.load(path.with_suffix(".npy")))
    return Statistics(*values)
