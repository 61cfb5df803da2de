"""Multiply-adds against the paper's tables, and against what a network really multiplies."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ladd.networks import MMDiT
from ladd.systems.base import backbone_macs
from tests.builders import network

MDLM, LADD = {"width": 1024, "layers": 13}, {"width": 768, "layers": 12}


@pytest.mark.parametrize(
    ("length", "size", "published"),
    [
        (128, MDLM, 21.37),
        (128 + 128, LADD, 22.95),
        (128 + 32, LADD, 14.06),
        (512, MDLM, 90.73),
        (512 + 64, LADD, 55.04),
        (512 + 16, LADD, 49.98),
    ],
)
def test_backbones_cost_what_the_paper_prints(length, size, published):
    assert round(backbone_macs(length, **size) / 1e9, 2) == published


def test_backbone_multiply_adds_are_those_of_the_network():
    tokens, latents, width, condition = 6, 4, 8, 8
    model = MMDiT(2, latent_width=3, latent_outputs=5, **network(width=width, condition=condition, layers=3))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, tokens, dtype=torch.long), torch.zeros(1, latents, 3), torch.ones(1), torch.ones(1))
    # Left out by definition: conditioning of 3 blocks (6 d each) and the final norm (2 d), per stream, the embedding
    # of the latents, and the embedding of their time.
    conditioning = 2 * condition * (3 * 6 + 2) * width + latents * 3 * width + 64 * condition + condition**2
    assert counter.get_total_flops() == 2 * (backbone_macs(tokens + latents, width, 3) + conditioning)
