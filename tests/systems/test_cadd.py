"""CADD: exact where its answers are known, and MDLM where its vectors tell nothing."""

import pytest
import torch
from torch import nn

from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.process import Step, token_loss
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.cadd import plugged_in
from ladd.systems.cadd import snr_rate
from tests.builders import perturb
from tests.samplers.known_answers import (
    all_masked,
    chi_square_excess,
    draw,
    every_sequence,
    noise,
    record,
    token_source,
)
from tests.systems.rivals import agree, bound_settings, drawn, made

TOKENS = 2
EVERY = every_sequence(TOKENS)
LAW = torch.tensor([0.4, 0.1, 0.15, 0.35], dtype=torch.float64)
TABLE = torch.tensor([[-0.6, 0.2], [0.5, -0.4]])


class ExactDenoiser(nn.Module):
    """p(x_0 | x_t, z_t) of LAW under linear schedules, with vectors of TABLE at masked positions."""

    def __init__(self):
        super().__init__()
        self.table, self.token_head = nn.Embedding.from_pretrained(TABLE.double()), nn.Identity()

    def forward(self, x, t, z):
        g = (1 - t.double())[:, None, None, None]
        distance = (z[:, None] - g.sqrt() * self.table.weight[EVERY]).square().sum(dim=-1)  # (B, M, N)
        masked = (x == 2)[:, None]
        shown = torch.where(x[:, None] == EVERY, 0.0, -torch.inf)
        log = torch.where(masked, -distance / (2 * (1 - g[..., 0])), shown).sum(dim=2) + LAW.log()
        one_hot = nn.functional.one_hot(EVERY, 2).double()
        return torch.einsum("bm,mnv->bnv", log.softmax(dim=1), one_hot).log()


SYSTEM = made("cadd", TOKENS)


def test_full_bound_of_the_exact_denoiser_is_the_exact_likelihood():
    """The plug-in is then the posterior mean, and the reverse process in continuous time is exact."""
    places = torch.multinomial(LAW, 3000, replacement=True, generator=torch.Generator().manual_seed(0))
    found = SYSTEM.bounds(ExactDenoiser(), EVERY[places], bound_settings(32, 600), None)
    exact = -LAW[places].log() / TOKENS
    agree(found["full_bound"], exact, 0.01)
    # The token term alone is below: the vectors have told part of the answer.
    assert (found["token_elbo"] - exact).mean() < -0.05


def test_soft_samples_of_the_exact_denoiser_follow_the_law_in_many_steps_and_the_product_in_one():
    many = drawn(SYSTEM, ExactDenoiser(), 4000, "cadd", token_steps=64, plug_in="soft").tokens
    assert chi_square_excess(many, LAW) < 5
    one = drawn(SYSTEM, ExactDenoiser(), 4000).tokens
    product = torch.stack([LAW.view(2, 2).sum(dim=1)[a] * LAW.view(2, 2).sum(dim=0)[b] for a, b in EVERY])
    assert chi_square_excess(one, product) < 5
    assert chi_square_excess(one, LAW) > 5


@pytest.mark.parametrize("steps", [1, 3, 16])
@pytest.mark.parametrize("plug_in", ["hard", "soft"])
def test_without_its_vectors_it_draws_the_samples_of_masked_diffusion(steps, plug_in):
    system = made("cadd", 5, 3)
    model = perturb(system.build()).eval()
    forward = model.forward
    model.forward = lambda x, t, z=None: forward(x, t)
    x = drawn(system, model, 60, "cadd", token_steps=steps, plug_in=plug_in).tokens
    expected = draw(Ancestral, token_source(model, system.process), all_masked(60, 5, 3), noise(60), token_steps=steps)
    assert torch.equal(x, expected.tokens)


def test_without_its_vectors_its_loss_is_that_of_masked_diffusion():
    system = made("cadd", 5, 3)
    model, x = perturb(system.build()), torch.randint(3, (6, 5))
    forward = model.forward
    model.forward = lambda x, t, z=None: forward(x, t)
    expected = token_loss(system.process, model, x, noise(6), 4).mean() / 5
    torch.testing.assert_close(system.losses(model, x, None, noise(6), 4)["loss"], expected)


def test_vectors_are_seen_at_masked_positions_alone():
    model, t = perturb(made("cadd", 5, 3).build()).eval(), torch.ones(1)
    x, z = torch.tensor([[0, 3, 1, 3, 2]]), torch.randn(1, 5, 8)
    other = torch.where((x == 3)[..., None], z, -z)
    torch.testing.assert_close(model(x, t, z), model(x, t, other))
    assert not torch.allclose(model(x, t, z), model(x, t, -z), atol=1e-3)


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.6), (0.7, 0.2)])
def test_a_step_towards_the_clean_vector_keeps_the_marginals(t, s):
    """Coefficients of the bridge by hand, with g = 1 - t: mean sqrt(g_s) z_0, variance 1 - g_s."""
    process, count, z_0 = GaussianProcess(GAUSSIAN_SCHEDULES["linear"]), 200_000, torch.tensor([[[1.5]]])
    here = Step(0, torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
    z_t = (1 - t) ** 0.5 * z_0 + t**0.5 * torch.randn(count, 1, 1)
    fresh = torch.randn(count, 1, 1)
    z_s = process.ddim(z_t, z_0, here, fresh, eta=1.0)
    assert abs(float(z_s.mean()) - (1 - s) ** 0.5 * 1.5) < 5 * (s / count) ** 0.5
    assert abs(float(z_s.var()) - s) < 0.01
    ratio = (1 - t) / (1 - s)
    by_hand = (1 - s) ** 0.5 * (1 - ratio) / t * z_0 + ratio**0.5 * s / t * z_t + (s * (1 - ratio) / t) ** 0.5 * fresh
    torch.testing.assert_close(z_s, by_hand.float(), rtol=1e-4, atol=1e-5)


def test_plug_in_is_a_row_or_the_mean_of_rows():
    logits = torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    assert torch.equal(plugged_in(logits, TABLE, "hard"), TABLE[[1, 0]])
    torch.testing.assert_close(plugged_in(logits, TABLE, "soft"), logits.softmax(dim=1) @ TABLE)
    # At a temperature towards 0 the mean is the row.
    torch.testing.assert_close(plugged_in(logits * 1e4, TABLE, "soft"), TABLE[[1, 0]])


def test_every_sample_with_a_mask_is_charged_for_every_step():
    model = perturb(SYSTEM.build()).eval()
    calls = record(model)
    samples = drawn(SYSTEM, model, 50, "cadd", token_steps=6)
    reveals = noise(50)
    steps = torch.stack([reveals.uniform("token_reveal", k, TOKENS) < 1 / (6 - k) for k in range(6)])
    last = steps.int().argmax(dim=0).amax(dim=1)  # the step that reveals the last token
    assert torch.equal(samples.token_passes, last + 1)
    assert len(calls) == int(last.max()) + 1


def test_table_moves_or_stays_as_it_is_asked_to():
    x = EVERY[torch.tensor([0, 1, 2, 3])]
    for learned in (True, False):
        system = made("cadd", TOKENS, learned_table=learned)
        model = perturb(system.build())
        system.losses(model, x, None, noise(4), 0)["loss"].backward()
        gradient = model.table.weight.grad
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) == learned


def test_rate_of_the_signal_to_noise_ratio():
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(snr_rate(GAUSSIAN_SCHEDULES["linear"], t), 1 / t**2)
