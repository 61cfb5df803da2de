"""What diffusion has to model is what is left of the norm beside the mean."""

import pytest
import torch

from ladd.latents.statistics import latent_statistics


def test_mean_and_variance_share_the_norm():
    # Norm sqrt(4) = 2 everywhere: a common coordinate of 1.2, and +-1.6 along one axis.
    vectors = torch.zeros(1000, 3, 4)
    vectors[..., 0] = 1.2
    vectors[..., 2] = torch.tensor([1.6, -1.6]).repeat(1500).view(1000, 3)
    found = latent_statistics(vectors, None)
    assert found["norm"] == pytest.approx(2.0)
    assert found["mean_norm"] == pytest.approx(1.2)
    assert found["variance"] == pytest.approx(1.6**2 / 4, rel=1e-3)
    assert found["axis_std"] == pytest.approx([1.6, 0, 0, 0], rel=1e-3)
    assert found["effective_dimension"] == pytest.approx(1.0)


def test_centred_vectors_of_norm_sqrt_w_have_unit_variance():
    vectors = torch.nn.functional.normalize(torch.randn(20_000, 1, 8), dim=-1) * 8**0.5
    found = latent_statistics(vectors, None)
    assert found["variance"] == pytest.approx(1.0, abs=0.01)
    assert found["mean_norm"] < 0.1
