"""Molecules as SMILES strings: validity, and what the metrics of MOSES compare (Polykovskiy et al., 2020).

RDKit and fcd_torch are imported where they are used: the package is imported where they are not (extra `molecules`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from rdkit.Chem import Mol

GAP = "_"  # stands for padding within a string; no SMILES has it
FINGERPRINT = 1024  # bits
RADIUS = 2  # bonds, of a Morgan fingerprint
FEATURES = 512  # of ChemNet
LEAST_RINGS = 2  # of a scaffold that counts
LARGE_RING = 8  # atoms; a molecule with such a ring does not pass the filters
ELEMENTS = frozenset(("C", "N", "S", "O", "F", "Cl", "Br", "H"))  # that filters allow
EMBEDDED = 256  # strings that ChemNet reads at a time


@cache
def _chem() -> Any:
    from rdkit import Chem, rdBase

    rdBase.DisableLog("rdApp.*")  # it prints a line for every string that is no molecule
    return Chem


def molecule(text: str) -> Mol | None:
    """The molecule of a SMILES string; None where it is empty, has a gap, or is not valid."""
    if not text or GAP in text:
        return None
    return _chem().MolFromSmiles(text)


@lru_cache(maxsize=8)
def canonical(texts: tuple[str, ...]) -> list[str | None]:
    """The canonical SMILES of every string, None where it is not valid.

    Several metrics ask for those of the same set, so the last sets are kept.
    """
    chem = _chem()
    return [None if (found := molecule(text)) is None else chem.MolToSmiles(found) for text in texts]


def valid(texts: Sequence[str]) -> list[str]:
    """The canonical SMILES of the valid strings, in their order."""
    return [text for text in canonical(tuple(texts)) if text is not None]


def fingerprints(texts: Sequence[str]) -> np.ndarray:
    """Morgan fingerprints of valid strings, uint8 (n, FINGERPRINT), 0 or 1."""
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=FINGERPRINT)
    found = [generator.GetFingerprintAsNumPy(molecule(text)) for text in texts]
    return np.stack(found).astype(np.uint8) if found else np.zeros((0, FINGERPRINT), np.uint8)


def fragments(texts: Sequence[str]) -> Counter[str]:
    """How often each fragment occurs in valid strings that are cut at their BRICS bonds (Degen et al., 2008)."""
    chem = _chem()
    found: Counter[str] = Counter()
    for text in texts:
        found.update(chem.MolToSmiles(chem.FragmentOnBRICSBonds(molecule(text))).split("."))
    return found


def scaffolds(texts: Sequence[str]) -> Counter[str]:
    """How often each scaffold (Bemis and Murcko, 1996) of at least two rings occurs in valid strings."""
    from rdkit.Chem.Scaffolds import MurckoScaffold

    chem = _chem()
    found: Counter[str] = Counter()
    for text in texts:
        scaffold = MurckoScaffold.GetScaffoldForMol(molecule(text))
        if scaffold.GetRingInfo().NumRings() >= LEAST_RINGS:
            found[chem.MolToSmiles(scaffold)] += 1
    return found


def passes(text: str, patterns: Sequence[Mol]) -> bool:
    """Whether a valid string has no unwanted substructure, no charge, no large ring and no other element.

    Args:
        text: SMILES.
        patterns: unwanted substructures, with their hydrogens written out.
    """
    found = molecule(text)
    assert found is not None
    if any(len(ring) >= LARGE_RING for ring in found.GetRingInfo().AtomRings()):
        return False
    if any(atom.GetFormalCharge() or atom.GetSymbol() not in ELEMENTS for atom in found.GetAtoms()):
        return False
    whole = _chem().AddHs(found)
    return not any(whole.HasSubstructMatch(pattern) for pattern in patterns)


def pattern(smarts: str) -> Mol | None:
    """An unwanted substructure; None where it is no SMARTS."""
    return _chem().MolFromSmarts(smarts)


def tanimoto(a: Tensor, b: Tensor) -> Tensor:
    """Tanimoto similarity, in [0, 1], of fingerprints float (n, F) and (m, F): shared bits over bits of either.

    Two that have no bit at all are equal.
    """
    shared = a @ b.T
    either = a.sum(dim=1)[:, None] + b.sum(dim=1) - shared
    return torch.where(either > 0, shared / either.clamp_min(1), 1.0)


def cosine(a: Counter[str], b: Counter[str]) -> float:
    """Cosine of two vectors of counts, in [0, 1]; 0 where one is empty."""
    shared = sum(count * b[name] for name, count in a.items() if name in b)
    norms = [sum(count**2 for count in each.values()) ** 0.5 for each in (a, b)]
    return shared / (norms[0] * norms[1]) if all(norms) else 0.0


def activations(texts: Sequence[str], device: torch.device | str = "cpu") -> np.ndarray:
    """ChemNet's features of canonical strings, float64 (n, FEATURES) (Preuer et al., 2018)."""
    network, dataset = _chemnet()
    network = network.to(device)
    found = [np.zeros((0, FEATURES))]
    for start in range(0, len(texts), EMBEDDED):
        part = texts[start : start + EMBEDDED]
        rows = dataset(part, canonize=False)
        inputs = torch.from_numpy(np.stack([rows[i] for i in range(len(part))])).float()
        with torch.no_grad():
            found.append(network(inputs.transpose(1, 2).to(device)).double().cpu().numpy())
    return np.concatenate(found)


@cache
def _chemnet() -> tuple[Any, Any]:
    """Network, and the class that turns strings into its input."""
    import fcd_torch
    from fcd_torch.utils import SmilesDataset, load_imported_model

    weights = Path(os.fspath(fcd_torch.__file__)).parent / "ChemNet_v0.13_pretrained.pt"
    return load_imported_model(torch.load(weights, weights_only=True)).eval(), SmilesDataset


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (h,) and covariance (h, h) of features (n, h).

    One row has no spread, and none is taken to be the zero vector: a distance to it is then large and finite.
    """
    if not len(features):
        return np.zeros(features.shape[1]), np.zeros((features.shape[1],) * 2)
    mean = features.mean(axis=0)
    centred = features - mean
    return mean, centred.T @ centred / max(len(features) - 1, 1)


def frechet_distance(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Squared 2-Wasserstein distance of two normal laws, |m - n|^2 + tr(S + T - 2 (S^1/2 T S^1/2)^1/2).

    Args:
        a, b: mean (h,) and covariance (h, h) of each.
    """
    values, vectors = np.linalg.eigh(a[1].astype(np.float64))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ b[1].astype(np.float64) @ root)
    spread = np.trace(a[1]) + np.trace(b[1]) - 2 * np.sqrt(product.clip(0)).sum()
    return max(float(np.sum((a[0] - b[0]) ** 2) + spread), 0.0)  # rounding may go below


def ring_bonds(text: str) -> Iterator[str]:
    """Labels of the ring bonds that a SMILES string opens and closes, in order: a digit, or % and two of them.

    Digits within brackets are of isotopes, charges and hydrogens.
    """
    place, inside = 0, False
    while place < len(text):
        character = text[place]
        inside = character == "[" or (inside and character != "]")
        if character == "%" and not inside:
            yield text[place : place + 3]
            place += 2
        elif character.isdigit() and not inside:
            yield character
        place += 1


def brackets_match(text: str) -> bool:
    """Whether every ( and [ has its partner."""
    partner, opened = {")": "(", "]": "["}, []
    for character in text:
        if character in partner.values():
            opened.append(character)
        elif character in partner and (not opened or opened.pop() != partner[character]):
            return False
    return not opened


def rings_close(text: str) -> bool:
    """Whether every ring bond that is opened is closed."""
    return all(count % 2 == 0 for count in Counter(ring_bonds(text)).values())
