"""A few hundred molecules in the files of MOSES's layout, and a suite on them."""

from __future__ import annotations

import gzip
from itertools import product
from pathlib import Path
from typing import Any

from rdkit import Chem

REPOSITORY = Path(__file__).resolve().parents[3]
RINGS = ("c1ccccc1", "c1ccncc1", "C1CCNCC1", "c1ccsc1", "C1CC1", "c1cc[nH]c1")
LINKS = ("C(=O)N", "OC", "CC", "S(=O)(=O)N", "CCO", "C#C", "N")
ENDS = ("Cl", "Br", "F", "C", "CO", "C(C)C", "c2ccccc2", "C2CC2")
SMARTS = ["[#6]C#C[#6]", "S(=O)(=O)"]  # unwanted here


def strings() -> list[str]:
    """Canonical strings, each once."""
    found = (Chem.CanonSmiles(f"{ring}{link}{end}") for ring, link, end in product(RINGS, LINKS, ENDS))
    return sorted(set(found))


def write_files(folder: Path) -> None:
    """Every third string for testing, of which every other one is of the second test set."""
    every = strings()
    parts = {"train": [s for i, s in enumerate(every) if i % 3], "test": every[::3], "test_scaffolds": every[::6]}
    folder.mkdir(parents=True)
    for name, part in parts.items():
        with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
            file.write("SMILES\n" + "\n".join(part) + "\n")
    (folder / "named.csv").write_text(f'names,smarts\nX1,"{SMARTS[0]}"\n')
    (folder / "plain.csv").write_text(f'"{SMARTS[1]}"   ,"<regId=X2>"\n')


def data_values(asset: Path, **changes: Any) -> dict[str, Any]:
    """A block of `data`."""
    files = {name: f"{name}.csv.gz" for name in ("train", "test", "test_scaffolds")}
    files |= {"statistics": "computed", "statistics_scaffolds": "computed", "filters": ["named.csv", "plain.csv"]}
    values = {"kind": "molecules", "tokens": 40, "tokenizer": {"kind": "character", "vocabulary": 20}}
    return values | {"asset": {"source": "path", "name": str(asset)}, "files": files} | changes


def suite_values(asset: Path, **changes: Any) -> dict[str, Any]:
    """A suite without models."""
    return {
        "root": str(REPOSITORY),
        "suite": "tiny-molecules",
        "seed": 1,
        "compute": {"device": "cpu", "threads": 1},
        "data": {"small": data_values(asset, **changes)},
        "sweeps": {},
        "evaluation": {
            "kind": "molecules",
            "time_draws": 2,
            "sequences": 32,
            "batch": 32,
            "reference": {"samples": 20, "seeds": [0, 1], "order": 3},
        },
    }
