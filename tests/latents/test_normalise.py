"""The norm of latent vectors."""

import math

import pytest
import torch

from ladd.latents.reduction import normalise_latents


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_normalised_latents_have_the_norm_asked_for(scale):
    z = normalise_latents(100 * torch.randn(5, 3, 16), scale)
    torch.testing.assert_close(z.norm(dim=-1), torch.full((5, 3), scale))


def test_scale_sqrt_w_gives_coordinates_of_unit_variance():
    z = normalise_latents(100 * torch.randn(500, 2, 16), 16**0.5)
    torch.testing.assert_close(z.square().mean(), torch.tensor(1.0))
    assert (z.square().mean(dim=(0, 1)) - 1).abs().max() < 5 * math.sqrt(2 / 1000)


def test_normalising_keeps_the_direction():
    z = torch.randn(5, 3, 16)
    torch.testing.assert_close(torch.cosine_similarity(normalise_latents(z, 4.0), z, dim=-1), torch.ones(5, 3))
