"""Shorter trainings stay valid, and longer ones stay as they are."""

from __future__ import annotations

import pytest

from ladd.config import LatentsConfig
from ladd.launch.expand import shorten
from tests.builders import suite_values, training


def trained(**changes) -> dict:
    return {
        "family": "mdlm",
        "training": training(steps=400, warmup=40, validate_every=20, checkpoint_every=60) | changes,
    }


def test_warmup_is_as_much_shorter_and_intervals_stay():
    before = trained()
    after = shorten(before, 100)
    assert after == trained(steps=100, warmup=10)
    assert before == trained()


def test_longer_training_changes_its_steps_alone():
    assert shorten(trained(), 800) == trained(steps=800)


def test_no_steps_change_nothing():
    assert shorten(trained(), None) == trained()


def test_codebook_has_steps_of_its_own():
    assert shorten({"codebook": 8, "steps": 200, "batch": 4}, 50) == {"codebook": 8, "steps": 50, "batch": 4}


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 199, 399])
@pytest.mark.parametrize("start", [0, 1, 200, 399])
def test_latents_are_valid_at_every_length(steps, start):
    latents = suite_values()["latents"]["discrete"] | trained(warmup=399) | {"quantise_after": start}
    del latents["family"]
    after = LatentsConfig.model_validate(shorten(latents, steps))
    assert after.training.steps == steps
    assert (after.quantise_after > 0) == (start > 0 and steps > 1)
