"""MAUVE: the area under the divergence curve of two sets of texts (Pillutla et al., 2021; smoothed as in 2023)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ladd.config.blocks import Block
from ladd.diffusion.noise import derive
from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Metric, Samples

SCALING = 5.0  # c of the publication
EXPLAINED_VARIANCE = 0.9  # kept by the principal components
TEXTS_PER_CLUSTER = 10
RESTARTS = 5
ITERATIONS = 500
SMOOTHING = 0.5  # added to every cluster's count (Krichevsky-Trofimov), so that no small set misses a cluster by chance
CURVE_POINTS = 25


class Settings(Block):
    """Of MAUVE."""

    clusters: Annotated[int, Field(ge=2, le=2**20)]


class Mauve(Metric):
    """MAUVE between samples and as many real texts. Its error is not known."""

    name = "mauve"
    version = "3"
    title = "MAUVE to real text (1 is best)"
    meaning = "how alike the mixtures of meanings in samples and in real text are, by clusters of embeddings"
    digits, order = 3, 8
    short = "MAUVE"
    better = "higher"
    needs = ("real", "features")
    Settings: ClassVar[type[Block]] = Settings

    def measure(self, samples: Samples) -> Estimate:
        source, seed = samples.source, derive(samples.source.seed, "mauve") % 2**31
        real = source.compared_features(samples.index, len(samples))
        value = mauve(source.features(samples.tokens), real, seed=seed, clusters=self.settings.clusters)
        return Estimate(value, None, len(samples))

    def counted(self, samples: Samples) -> str:
        return f"{samples.source.features_name} {self.settings.clusters} clusters"


def mauve(a: Tensor, b: Tensor, *, seed: int, clusters: int | None = None, scaling: float = SCALING) -> float:
    """MAUVE of two sets of features, in (0, 1]: 1 where both fall into the clusters in equal shares.

    It depends on the number of texts, the features, the clusters and the seed of k-means: compare only values that
    have all of them in common, and give the value of real against real. Neither the order of the sets nor that of
    the texts matters.

    Args:
        a, b: (n_a, h) and (n_b, h), one feature vector per text.
        seed: of k-means.
        clusters: None means min(n_a, n_b) / 10, at least 2.
        scaling: c; the larger, the lower the value.
    """
    if clusters is None:
        clusters = max(2, round(min(len(a), len(b)) / TEXTS_PER_CLUSTER))
    return divergence_area(*(smoothed(counts) for counts in cluster_counts(a, b, clusters, seed)), scaling=scaling)


def cluster_counts(a: Tensor, b: Tensor, clusters: int, seed: int) -> tuple[Tensor, Tensor]:
    """Texts of each set in each cluster of both together: unit vectors, principal components, then k-means.

    Args:
        a, b: features, (n_a, h) and (n_b, h).
        clusters: k, fewer where fewer vectors differ.
    Returns:
        int64 (k,) and (k,).
    Raises:
        ValueError: widths differ, or all vectors are equal.
    """
    # Imported here: the package is imported where there is no scikit-learn.
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    if a.shape[1] != b.shape[1]:
        raise ValueError(f"both sets need features of one width, not {a.shape[1]} and {b.shape[1]}")
    features = torch.nn.functional.normalize(torch.cat([a, b]).double().cpu(), dim=1)
    # K-means starts from points drawn by their place: in sorted order neither set is the first.
    vectors, place, repeats = features.unique(dim=0, return_inverse=True, return_counts=True)
    if len(vectors) < 2:
        raise ValueError(f"all {len(features)} feature vectors point the same way, so there is nothing to compare")
    reduced = PCA(EXPLAINED_VARIANCE, svd_solver="full").fit(vectors.repeat_interleave(repeats, 0).numpy())
    means = KMeans(min(clusters, len(vectors)), n_init=RESTARTS, max_iter=ITERATIONS, random_state=seed)
    means.fit(reduced.transform(vectors.numpy()), sample_weight=repeats.numpy())
    labels = torch.from_numpy(means.labels_).long()[place]
    return tuple(labels.bincount(minlength=means.n_clusters) for labels in labels.split([len(a), len(b)]))  # type: ignore[return-value]


def smoothed(counts: Tensor, smoothing: float = SMOOTHING) -> Tensor:
    """Probabilities float64 (k,) of counts (k,), each with ``smoothing`` added."""
    raised = counts.double() + smoothing
    return raised / raised.sum()


def divergence_area(p: Tensor, q: Tensor, *, scaling: float = SCALING, points: int = CURVE_POINTS) -> float:
    """Area under the curve (exp(-c KL(q | r)), exp(-c KL(p | r))) over mixtures r = w p + (1 - w) q.

    The curve runs on to (0, 1) and (1, 0). It is symmetric in p and q.

    Args:
        p, q: probabilities float64 (k,).
        scaling: c.
        points: number of weights w, evenly spaced over (0, 1), as in the publication's code.
    """
    w = torch.linspace(1e-6, 1 - 1e-6, points, dtype=torch.float64)[:, None]
    mixtures = w * p + (1 - w) * q
    x, y = (torch.exp(-scaling * _divergence(side, mixtures)) for side in (q, p))
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    x, y = torch.cat([one, x, zero]), torch.cat([zero, y, one])  # x falls and y rises with w
    return -float(torch.trapezoid(y, x))


def _divergence(p: Tensor, mixtures: Tensor) -> Tensor:
    """KL(p | r) in nats for each row r of mixtures (m, k) -> (m,)."""
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, mixtures)).sum(dim=1)
