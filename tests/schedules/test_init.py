"""Choice of the latent schedule."""

import pytest

from ladd.schedules import GAUSSIAN_SCHEDULES, MASKED_SCHEDULES, latent_schedule


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_both_kinds_of_latents_have_schedules_of_their_own(name):
    assert latent_schedule(name, discrete=True) is MASKED_SCHEDULES[name]
    assert latent_schedule(name, discrete=False) is GAUSSIAN_SCHEDULES[name]
