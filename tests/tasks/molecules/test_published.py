"""The published row of the MOSES training set, and the statistics in the wheel, from its strings (fetches 52 MB)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ladd.config import load_suite
from ladd.data import chemistry
from ladd.metrics.base import Samples, metric_of
from ladd.tasks import task_of
from tests.tasks.molecules.small import REPOSITORY

pytestmark = pytest.mark.slow

MANY = 10_000


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    suite = load_suite(REPOSITORY / "suites/molecules/params.yaml").model_copy(update={"root": str(REPOSITORY)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("suite"))
        task = task_of(suite, "moses")
        task.folder.mkdir(parents=True)
        task.build(task.folder)
        yield task


def measured(task, name: str, count: int, split: str = "train"):
    return metric_of(name, {}, "").measure(Samples(task, task.rows(split)[:count].long(), 0))


def test_training_set_has_the_published_row(task):
    assert measured(task, "valid_molecules", 1000).value == 1
    nearest = measured(task, "snn", 2000)
    assert nearest.value == pytest.approx(0.642, abs=3 * nearest.stderr)
    assert measured(task, "filters_passed", 1000).value == 1
    assert measured(task, "int_div", 3000).value == pytest.approx(0.857, abs=0.002)
    assert measured(task, "frag", MANY).value == pytest.approx(1, abs=0.001)
    assert measured(task, "novel_molecules", 1000).value == 0  # published as 1: of the set against itself it is 0


def test_frechet_distance_of_the_training_set_without_the_share_of_its_size(task):
    """It is a + c / n, and the published value is of the whole set: a from two sizes, 0.008 within its error."""
    reference = task.statistics("test")
    features = chemistry.activations(chemistry.valid(task.texts(task.rows("train")[:MANY].long())))
    whole = chemistry.frechet_distance((reference.mean, reference.covariance), chemistry.moments(features))
    halves = [
        chemistry.frechet_distance((reference.mean, reference.covariance), chemistry.moments(half))
        for half in np.array_split(features, 2)
    ]
    assert 2 * whole - np.mean(halves) == pytest.approx(0.008, abs=0.006)


def test_statistics_in_the_wheel_are_those_of_its_strings(task):
    reference = task.statistics("test")
    texts = chemistry.valid(task.texts(task.rows("validation")[:500].long()))
    packed = torch.from_numpy(np.packbits(chemistry.fingerprints(texts), axis=1))
    known = {row.tobytes() for row in reference.fingerprints}
    assert all(row.numpy().tobytes() in known for row in packed)
    assert chemistry.fragments(texts).keys() <= reference.fragments.keys()
    assert chemistry.scaffolds(texts).keys() <= reference.scaffolds.keys()
