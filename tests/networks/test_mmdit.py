"""The two-stream network."""

import pytest
import torch

from ladd.networks import MMDiT
from tests.builders import network, perturb

X = torch.tensor([[0, 1, 3, 2], [2, 2, 3, 0]])
T = torch.tensor([0.3, 0.7])


def mmdit(**changes) -> MMDiT:
    return perturb(MMDiT(3, **{"latent_width": 4, "latent_outputs": 5} | network() | changes))


def test_heads_have_the_sizes_asked_for():
    model = mmdit()
    hidden, latent_hidden = model(X, torch.randn(2, 2, 4), T, T)
    assert model.token_head(hidden).shape == (2, 4, 3)
    assert model.latent_head(latent_hidden).shape == (2, 2, 5)


def test_tokens_and_latents_see_each_other():
    model, z = mmdit(), torch.randn(2, 2, 4)
    hidden, latent_hidden = model(X, z, T, T)
    other_tokens = X.clone()
    other_tokens[:, 1] = 0
    assert ((model(X, z + 1, T, T)[0] - hidden).abs().amax(dim=-1) > 1e-5).all()
    changed = model(other_tokens, z, T, T)[1] - latent_hidden
    assert (changed[0].abs().amax(dim=-1) > 1e-6).all()


def test_content_under_a_latent_mask_is_irrelevant():
    model, z = mmdit(), torch.randn(2, 2, 4)
    masked = torch.tensor([[True, False], [True, True]])
    other = torch.where(masked[..., None], torch.randn(2, 2, 4), z)
    for a, b in zip(model(X, z, T, T, masked), model(X, other, T, T, masked), strict=True):
        assert torch.equal(a, b)


def test_masked_latents_become_the_learned_vector():
    model, masked = mmdit(), torch.tensor([[True, False], [True, True]])
    z = torch.randn(2, 2, 4)
    filled = z.clone()
    filled[masked] = model.latent_mask.detach()
    torch.testing.assert_close(model(X, z, T, T, masked)[0], model(X, filled, T, T)[0])
    model(X, z, T, T, masked)[0].sum().backward()
    assert model.latent_mask.grad.abs().sum() > 0


def test_visible_latents_matter_beside_a_mask():
    model, masked = mmdit(), torch.tensor([[True, False], [True, False]])
    z = torch.randn(2, 2, 4)
    assert not torch.allclose(model(X, z, T, T, masked)[0], model(X, z + 1, T, T, masked)[0], atol=1e-4)


@pytest.mark.parametrize("timed", [False, True])
def test_token_time_is_used_only_where_asked_for(timed):
    model, z = mmdit(timed=timed), torch.randn(2, 2, 4)
    same = torch.equal(model(X, z, T, T)[0], model(X, z, 1 - T, T)[0])
    assert same == (not timed)


def test_latent_time_is_always_used():
    model, z = mmdit(), torch.randn(2, 2, 4)
    assert not torch.allclose(model(X, z, T, T)[1], model(X, z, T, 1 - T)[1], atol=1e-4)


def test_token_and_latent_times_are_not_swapped():
    model, z = mmdit(timed=True, layers=1), torch.randn(2, 2, 4)
    for embedding, index in ((model.time, 0), (model.latent_time, 1)):
        called = []
        handle = embedding.register_forward_hook(lambda _, given, __, called=called: called.append(given[0]))
        model(X, z, T, 1 - T)
        handle.remove()
        assert torch.equal(called[0], [T, 1 - T][index])


@pytest.mark.parametrize(("length", "expected"), [(4, [0, 1, 2, 3]), (2, [0.5, 2.5]), (1, [1.5])])
def test_latents_stand_at_the_centres_of_their_chunks(length, expected):
    model, seen = mmdit(), []
    hook = model.transformer.register_forward_hook(lambda _, given, __: seen.append(given[2]))
    model(X, torch.randn(2, length, 4), T, T)
    hook.remove()
    tokens, latents = seen[0]
    assert tokens.tolist() == [0, 1, 2, 3]
    assert latents.tolist() == expected


def test_dropout_reaches_both_streams():
    rates = [m.p for m in mmdit(dropout=0.2).modules() if isinstance(m, torch.nn.Dropout)]
    assert rates == [0.2] * 4


@pytest.mark.parametrize("timed", [False, True])
def test_tokens_that_all_samples_share_may_have_one_row(timed):
    model, z = mmdit(timed=timed).eval(), torch.randn(3, 2, 4)
    t_z = torch.tensor([0.1, 0.5, 0.9])
    one = model(X[:1], z, T[:1], t_z)
    every = model(X[:1].expand(3, -1), z, T[:1].expand(3), t_z)
    for mine, other in zip(one, every, strict=True):
        torch.testing.assert_close(mine, other)


def test_latents_that_all_samples_share_may_have_one_row():
    model, z = mmdit().eval(), torch.randn(1, 2, 4)
    for mine, other in zip(model(X, z, T, T[:1]), model(X, z.expand(2, -1, -1), T, T[:1].expand(2)), strict=True):
        torch.testing.assert_close(mine, other)
