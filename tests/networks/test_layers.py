"""Parts shared by all backbones."""

import torch

from ladd.networks.transformer import FinalNorm, TimeEmbedding, modulate, rotary_embedding, rotate, zero_linear
from tests.builders import perturb

BASE = 100.0


def scores(q_positions, k_positions, q, k):
    """Attention logits of rotated queries and keys."""
    rotated_q = rotate(q, rotary_embedding(torch.as_tensor(q_positions), q.shape[-1], BASE))
    rotated_k = rotate(k, rotary_embedding(torch.as_tensor(k_positions), k.shape[-1], BASE))
    return rotated_q @ rotated_k.transpose(-1, -2)


def test_rotary_scores_depend_on_relative_positions_only():
    q, k = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    positions = torch.arange(5.0)
    shifted = scores(positions + 7.25, positions + 7.25, q, k)
    torch.testing.assert_close(shifted, scores(positions, positions, q, k), atol=1e-5, rtol=1e-5)


def test_rotary_scores_do_depend_on_relative_positions():
    q, k = torch.randn(1, 3, 8), torch.randn(1, 3, 8)
    positions = torch.arange(3.0)
    assert not torch.allclose(scores(positions + 1, positions, q, k), scores(positions, positions, q, k), atol=1e-2)


def test_rotation_keeps_norms_and_leaves_position_zero_alone():
    x = torch.randn(2, 4, 8)
    rotated = rotate(x, rotary_embedding(torch.arange(4.0), 8, BASE))
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(rotated[:, 0], x[:, 0])
    assert not torch.allclose(rotated[:, 1], x[:, 1], atol=1e-2)


def test_rotation_turns_each_pair_by_its_own_angle():
    x = torch.randn(8)
    rotated = rotate(x[None], rotary_embedding(torch.tensor([3.0]), 8, BASE))[0]
    for pair in range(4):
        angle = torch.tensor(3.0 * BASE ** (-pair / 4))
        turned = torch.complex(x[pair], x[pair + 4]) * torch.polar(torch.tensor(1.0), angle)
        torch.testing.assert_close(torch.complex(rotated[pair], rotated[pair + 4]), turned)


def test_modulate_is_affine():
    x, shift, scale = torch.randn(2, 3, 4), torch.randn(2, 1, 4), torch.randn(2, 1, 4)
    torch.testing.assert_close(modulate(x, shift, scale), x * (1 + scale) + shift)


def test_time_embedding_tells_close_times_apart():
    embedded = TimeEmbedding(8)(torch.tensor([0.0, 0.01, 0.5, 1.0], dtype=torch.float64))
    assert embedded.shape == (4, 8)
    assert torch.pdist(embedded).min() > 1e-3


def test_zero_linear_is_zero():
    assert not zero_linear(3, 5)(torch.randn(2, 3)).any()


def test_final_norm_starts_as_a_layer_norm_and_can_be_conditioned():
    norm, h, condition = FinalNorm(8, 4), torch.randn(2, 3, 8), torch.randn(2, 4)
    torch.testing.assert_close(norm(h, condition), torch.nn.functional.layer_norm(h, (8,)))
    perturb(norm)
    assert not torch.allclose(norm(h, condition), norm(h, condition + 1))
