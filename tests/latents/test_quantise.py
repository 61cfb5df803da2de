"""Codebook fitted on frozen latents."""

import math

import numpy as np
import pytest
import torch

from ladd.errors import ConfigError
from ladd.latents.codebook import Codebook, codebook_report, fit_codebook

SETTINGS = {"codebook": 6, "steps": 60, "batch": 64, "seed": 1}


def centres() -> np.ndarray:
    """Six directions at right angles or opposite, (6, 3)."""
    return np.concatenate([np.eye(3), -np.eye(3)])


def clusters(rows: int = 400, length: int = 2, spread: float = 0.05) -> np.ndarray:
    """Latents around the six directions, with norms of their own, float16 (M, L, 3)."""
    generator = np.random.default_rng(0)
    points = centres()[generator.integers(6, size=(rows, length))] + spread * generator.normal(size=(rows, length, 3))
    return (points * generator.uniform(0.5, 4.0, size=(rows, length, 1))).astype(np.float16)


def test_clusters_are_recovered():
    vectors = fit_codebook(clusters(), **SETTINGS).vectors.numpy()
    similarity = vectors @ centres().T
    assert sorted(similarity.argmax(axis=1)) == list(range(6))
    assert similarity.max(axis=1).min() > 0.99


def test_vectors_have_the_scale_as_norm_and_do_not_train():
    codebook = fit_codebook(clusters(), **SETTINGS, scale=3.0)
    torch.testing.assert_close(codebook.vectors.norm(dim=1), torch.full((6,), 3.0))
    assert list(codebook.parameters()) == []


def test_only_directions_count():
    latents = clusters().astype(np.float32)
    unit = latents / np.linalg.norm(latents, axis=-1, keepdims=True)
    first, second = (fit_codebook(z, **SETTINGS).vectors for z in (latents, unit))
    torch.testing.assert_close(first, second)


def test_same_seed_same_bits_and_another_seed_others():
    latents = np.random.default_rng(0).normal(size=(400, 2, 3))
    torch.manual_seed(1)
    first = fit_codebook(latents, **SETTINGS).vectors
    torch.manual_seed(2)
    assert torch.equal(fit_codebook(latents, **SETTINGS).vectors, first)
    assert not torch.equal(fit_codebook(latents, **SETTINGS | {"seed": 2}).vectors, first)


def test_global_random_state_is_left_alone():
    expected = torch.rand(3)
    torch.manual_seed(0)
    fit_codebook(clusters(), **SETTINGS)
    assert torch.equal(torch.rand(3), expected)


def test_no_dead_codes_on_spread_data():
    latents = np.random.default_rng(0).normal(size=(500, 4, 8))
    codebook = fit_codebook(latents, codebook=32, steps=60, batch=128, seed=0)
    report = codebook_report(codebook, latents)
    assert (report["used"], report["dead"]) == (32, 0)
    assert report["perplexity"] > 25


def test_report_of_a_codebook_worked_out_by_hand():
    codebook = Codebook(3, 2)
    codebook.vectors.copy_(torch.tensor([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]]))
    latents = np.array([[[5.0, 0.0], [0.0, 1.0]], [[0.0, 3.0], [1.0, math.sqrt(3)]]])  # cosines 1, 1, 1 and sqrt(3) / 2
    report = codebook_report(codebook, latents, batch=1)
    assert (report["used"], report["dead"], report["latents"]) == (2, 1, 4)
    assert report["probabilities"] == [0.75, 0.25, 0.0]
    assert report["entropy"] == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    assert report["perplexity"] == pytest.approx(math.exp(report["entropy"]))
    assert report["cosine"] == pytest.approx((3 + math.sqrt(3) / 2) / 4)


def test_report_looks_at_rows_evenly_spaced():
    codebook = Codebook(2, 1)
    codebook.vectors.copy_(torch.tensor([[1.0], [-1.0]]))
    latents = np.ones((9, 2, 1))
    latents[[0, 4, 8]] = -1.0
    report = codebook_report(codebook, latents, rows=3)
    assert (report["used"], report["dead"], report["latents"]) == (1, 1, 6)


def test_too_few_latents_per_code_and_step_are_refused():
    with pytest.raises(ConfigError, match=r"batch: 5 rows of 2 latents are too few for 6 codes.*set it to 24"):
        fit_codebook(clusters(), **SETTINGS | {"batch": 5})
