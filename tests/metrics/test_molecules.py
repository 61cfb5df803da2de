"""Metrics of molecules, on strings that were made by hand."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
import torch

from ladd.data import chemistry
from ladd.errors import ConfigError
from ladd.metrics.base import Samples, Source, metric_of
from ladd.metrics.int_div import internal_diversity
from ladd.metrics.molecules import MoleculeSource, Statistics, lengths, misplaced
from ladd.metrics.snn import nearest_by_products, nearest_similarity

BENZENE, TOLUENE, ETHANOL, NAPHTHALENE = "c1ccccc1", "Cc1ccccc1", "CCO", "c1ccc2ccccc2c1"


class Hand(MoleculeSource):
    """Samples are row numbers of a list of strings."""

    seed, device, pad, reference_name = 0, "cpu", 0, "hand"
    patterns: ClassVar = [chemistry.pattern("C#N"), chemistry.pattern("[H]C(=O)")]

    def __init__(self, texts, reference=(BENZENE, ETHANOL, NAPHTHALENE)):
        self.words = texts
        packed = np.packbits(chemistry.fingerprints(reference), axis=1)
        moments = np.zeros(512), np.zeros((512, 512))
        self.reference = Statistics(*moments, packed, chemistry.fragments(reference), chemistry.scaffolds(reference))

    def texts(self, x):
        return self.words

    def compared(self, index, count):
        return torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]])

    def statistics(self, against):
        return self.reference

    def is_known(self, texts):
        return [text in (ETHANOL, BENZENE) for text in texts]


def value(name, texts, **options):
    samples = Samples(Hand(texts, **options), torch.zeros(len(texts), 1, dtype=torch.long), 0)
    return metric_of(name, {}, "").measure(samples)


TEXTS = ["OCC", "CCO", BENZENE, "C_C", "", "C1CC", TOLUENE, "C(C"]  # four are valid, three of them differ


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("valid_molecules", 4 / 8),
        ("unique_molecules", 3 / 4),
        ("novel_molecules", 1 / 3),  # toluene
        ("matched_brackets", 6 / 8),
        ("closed_rings", 6 / 8),
        ("filters_passed", 1.0),
    ],
)
def test_shares_of_strings(name, wanted):
    found = value(name, TEXTS)
    assert found.value == pytest.approx(wanted)
    assert found.n == 8


def test_standard_error_of_validity_is_that_of_a_share():
    assert value("valid_molecules", TEXTS).stderr == pytest.approx((0.5 * 0.5 / 7) ** 0.5)


@pytest.mark.parametrize(
    "name",
    ["unique_molecules", "novel_molecules", "snn", "frag", "scaf", "int_div", "filters_passed", "valid_molecules"],
)
def test_without_a_valid_string_the_value_is_zero(name):
    assert value(name, ["", "C_C", "C("])[0] == 0


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("CCO", True),
        ("CC#N", False),  # a pattern
        ("CC=O", False),  # one with its hydrogen written out
        ("C[N+](C)(C)C", False),  # charged
        ("CI", False),  # another element
        ("C1CCCCCC1", True),
        ("C1CCCCCCC1", False),  # eight atoms
    ],
)
def test_filters(text, passes):
    assert value("filters_passed", [text, text]).value == passes


def test_nearest_neighbours_are_those_of_highest_similarity():
    assert value("snn", [BENZENE, "OCC"]).value == 1
    prints = [set(np.flatnonzero(row)) for row in chemistry.fingerprints([TOLUENE, BENZENE, ETHANOL, NAPHTHALENE])]
    by_hand = max(len(prints[0] & other) / len(prints[0] | other) for other in prints[1:])
    assert value("snn", [TOLUENE]).value == pytest.approx(by_hand)
    bits = np.random.default_rng(0).random((9, 128)) < 0.3
    x, packed = bits[:4].astype(np.uint8), np.packbits(bits[3:], axis=1)
    by_hand = [max((a & b).sum() / (a | b).sum() for b in bits[3:]) for a in bits[:4]]
    assert nearest_similarity(np.packbits(x, axis=1), packed).tolist() == pytest.approx(by_hand)
    assert nearest_by_products(torch.from_numpy(x).float(), packed).tolist() == pytest.approx(by_hand)


def test_internal_diversity_by_hand():
    x = torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])  # 1/3 alike, and not at all
    assert internal_diversity(x) == pytest.approx(1 - (3 + 2 / 3) / 9)
    assert value("int_div", [BENZENE, BENZENE]).value == pytest.approx(0, abs=1e-6)


def test_fragments_and_scaffolds_by_hand():
    assert chemistry.fragments(["CCOc1ccccc1", BENZENE]) == {
        "[4*]CC": 1,
        "[3*]O[3*]": 1,
        "[16*]c1ccccc1": 1,
        BENZENE: 1,
    }
    assert chemistry.scaffolds([BENZENE, f"CC{NAPHTHALENE}", ETHANOL]) == {NAPHTHALENE: 1}  # two rings at least
    assert chemistry.cosine(Counter(a=3, b=4), Counter(a=1)) == pytest.approx(0.6)
    assert value("scaf", [NAPHTHALENE, ETHANOL]).value == pytest.approx(1)
    assert value("frag", [BENZENE, ETHANOL, NAPHTHALENE]).value == pytest.approx(1)
    assert value("frag", ["CI"]).value == 0


def test_frechet_distance_of_normal_laws_is_the_closed_form():
    """Covariances that commute: |m - n|^2 + sum of (s - t)^2 over their standard deviations."""
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    s, t = np.array([0.0, 1, 2, 3, 0.5]), np.array([1.0, 0, 2, 1, 0.5])
    a, b = ((each, (rotation * sd**2) @ rotation.T) for each, sd in ((np.zeros(5), s), (np.ones(5), t)))
    assert chemistry.frechet_distance(a, b) == pytest.approx(5 + ((s - t) ** 2).sum())
    assert chemistry.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_moments_are_those_of_a_sample_and_defined_for_few():
    x = np.random.default_rng(0).normal(size=(7, 3))
    mean, covariance = chemistry.moments(x)
    assert np.allclose(mean, x.mean(axis=0))
    assert np.allclose(covariance, np.cov(x.T))
    assert not chemistry.moments(x[:1])[1].any()
    assert not chemistry.moments(x[:0])[0].any()


def test_fcd_is_the_distance_of_chemnet_features():
    texts = [BENZENE, ETHANOL, TOLUENE, NAPHTHALENE]
    features = chemistry.activations(texts)
    assert features.shape == (4, 512)
    assert np.allclose(chemistry.activations(texts[2:]), features[2:], atol=1e-5)  # not of the batch
    found = value("fcd", [*texts, "C(", ""]).value
    mean, covariance = chemistry.moments(features)
    assert found == pytest.approx((mean**2).sum() + np.trace(covariance))  # to the point mass at 0
    assert value("fcd", ["C("]).value == 0


@pytest.mark.parametrize(
    ("text", "brackets", "rings"),
    [
        ("C(C)[nH]", True, True),
        ("C(C]", False, True),
        (")C(", False, True),
        ("C([)]", False, True),
        ("C1CC1C1CC1", True, True),
        ("C1CC2", True, False),
        ("[13CH4]C1CC1", True, True),  # digits in brackets are of the atom
        ("C%12CC%12", True, True),
        ("C%12CC%13", True, False),
    ],
)
def test_brackets_and_rings_of_a_string(text, brackets, rings):
    assert chemistry.brackets_match(text) == brackets
    assert chemistry.rings_close(text) == rings


def test_padding_of_rows():
    x = torch.tensor([[1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    assert lengths(x, 0).tolist() == [2, 1, 0, 4]
    assert misplaced(x, 0).tolist() == [False, True, False, False]
    samples = Samples(Hand([""] * 4), x, 0)
    assert metric_of("misplaced_pad", {}, "").measure(samples).value == 0.25
    assert metric_of("pad_share", {}, "").measure(samples).value == pytest.approx(9 / 16)
    two = Samples(Hand([""] * 2), x[[3, 1]], 0)  # lengths 1 and 4 against 1 and 2
    assert metric_of("length_distance", {}, "").measure(two).value == 1


def test_samples_of_another_task_are_refused():
    class Other(Source):
        seed = 0

        def texts(self, x):
            return []

        def compared(self, index, count):
            return torch.zeros(0)

    with pytest.raises(
        ConfigError, match=r"evaluation\.metrics\.fcd: samples of Other are no molecules; remove the metric"
    ):
        metric_of("fcd", {}, "").measure(Samples(Other(), torch.zeros(1, 1), 0))
