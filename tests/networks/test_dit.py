"""Single-stream networks."""

import torch

from ladd.latents.prior import LatentPrior
from ladd.networks import DiT, Encoder
from tests.builders import network, perturb

X = torch.tensor([[0, 1, 3, 2, 3], [2, 2, 3, 0, 1]])


def test_time_free_denoiser_ignores_the_time():
    denoiser = perturb(DiT(3, **network()))
    assert torch.equal(denoiser(X, torch.zeros(2)), denoiser(X, torch.ones(2)))


def test_timed_denoiser_uses_the_time_of_each_sequence():
    denoiser = perturb(DiT(3, timed=True, **network()))
    before, after = denoiser(X, torch.tensor([0.2, 0.2])), denoiser(X, torch.tensor([0.2, 0.8]))
    torch.testing.assert_close(before[0], after[0])
    assert not torch.allclose(before[1], after[1], atol=1e-4)


def test_denoiser_has_no_mask_among_its_outputs_and_one_among_its_inputs():
    denoiser = DiT(3, **network())
    assert denoiser.token_head(denoiser(X, torch.zeros(2))).shape == (2, 5, 3)


def test_denoiser_knows_the_order_of_tokens():
    denoiser = perturb(DiT(3, **network()))
    hidden, flipped = denoiser(X, torch.zeros(2)), denoiser(X.flip(1), torch.zeros(2))
    assert not torch.allclose(hidden, flipped.flip(1), atol=1e-3)


def test_encoder_returns_the_last_positions_and_sees_all_tokens():
    encoder = perturb(Encoder(3, length=2, latent_width=4, **network()))
    z = encoder(X)
    assert z.shape == (2, 2, 4)
    torch.testing.assert_close(z, encoder.projection(encoder.trunk(X, torch.zeros(2))[:, 3:]))
    changed = X.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 3
    assert ((encoder(changed) - z).abs().amax(dim=-1) > 1e-6).all()


def test_full_length_encoder_has_one_latent_per_token():
    assert Encoder(3, length=5, latent_width=4, **network())(X).shape == (2, 5, 4)


def test_prior_uses_the_latent_and_the_time():
    denoiser = perturb(LatentPrior(4, "linear", **network()))
    z, t = torch.randn(2, 3, 4), torch.tensor([0.3, 0.6])
    prediction = denoiser(z, t)
    assert prediction.shape == z.shape
    assert not torch.allclose(prediction, denoiser(z + 1, t), atol=1e-3)
    assert not torch.allclose(prediction, denoiser(z, t + 0.3), atol=1e-4)


def test_dropout_reaches_every_network():
    for module in (
        DiT(3, **network(dropout=0.2)),
        Encoder(3, length=2, latent_width=4, **network(dropout=0.2)),
        LatentPrior(4, "linear", **network(dropout=0.2)),
    ):
        assert [m.p for m in module.modules() if isinstance(m, torch.nn.Dropout)] == [0.2, 0.2]
