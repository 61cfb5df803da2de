"""Joint schedule: with exact posteriors the tokens have the law of the data, and the latents' clock may run ahead."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.samplers.joint import Joint
from tests.samplers.known_answers import (
    LINEAR,
    MASK,
    ONES,
    PRIOR,
    ExactDenoiser,
    Tables,
    all_masked,
    chi_square_excess,
    draw,
    mixture,
    noise,
    one_hot_codebook,
    pair_source,
    product_law,
    record,
)

LAW, COUNT = mixture(PRIOR, ONES), 10_000
EXACT, PRODUCT = LAW.of_tokens(), product_law(PRIOR @ ONES)
BINARY = MaskedProcess(LINEAR, 2)
leads = pytest.mark.parametrize("lead", [1.0, 3.0])


def sample_exact(steps: int, lead: float = 1.0, latent_schedule: str = "linear") -> torch.Tensor:
    model = SimpleNamespace(denoiser=ExactDenoiser(LAW), codebook=one_hot_codebook(3))
    source = pair_source(model, "discrete", (1, 3), process=BINARY, schedule=latent_schedule)
    return draw(Joint, source, all_masked(COUNT, 4, 2), noise(COUNT), token_steps=steps, latent_lead=lead).tokens


@pytest.mark.parametrize(("lead", "latent_schedule"), [(1.0, "linear"), (3.0, "linear"), (1.0, "geometric")])
def test_many_steps_give_the_exact_law(lead, latent_schedule):
    assert abs(chi_square_excess(sample_exact(200, lead, latent_schedule), EXACT)) < 5


@leads
def test_one_step_gives_the_product_of_the_marginals(lead):
    x = sample_exact(1, lead)
    assert abs(chi_square_excess(x, PRODUCT)) < 5
    assert chi_square_excess(x, EXACT) > 50


def spied(kind: str, lead: float, steps: int, samples: int = 100):
    """Calls of a network that has enough tokens to run on every sample at every step."""
    denoiser = Tables(48, 2, 2, 3)
    calls = record(denoiser)
    model = SimpleNamespace(denoiser=denoiser, codebook=one_hot_codebook(3))
    source = pair_source(model, kind, (2, 3), process=BINARY)
    draw(Joint, source, all_masked(samples, 48, 2), noise(samples), token_steps=steps, latent_lead=lead)
    assert [len(x) for x, *_ in calls] == [1] + [samples] * (steps - 1)  # at t = 1 all tokens are masked
    return calls


@leads
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_network_is_told_the_times_of_both_clocks(kind, lead):
    for index, (_, _, t_x, t_z, *_) in enumerate(spied(kind, lead, steps=4)):
        assert (t_x == 1 - index / 4).all()
        assert torch.equal(t_z, t_x**lead)


@leads
def test_codes_are_revealed_by_their_own_clock(lead):
    calls = spied("discrete", lead, steps=4, samples=400)
    rates = [float(z_masked.double().mean()) for *_, z_masked in calls]
    assert rates == pytest.approx([(1 - index / 4) ** lead for index in range(4)], abs=0.07)
    tokens = [float((x == 2).double().mean()) for x, *_ in calls]
    assert tokens == pytest.approx([1 - index / 4 for index in range(4)], abs=0.02)


class ConstantLatent(nn.Module):
    """A denoiser that predicts z_0 = 2 and knows nothing of the tokens."""

    def __init__(self):
        super().__init__()
        self.token_head, self.latent_head = nn.Identity(), nn.Identity()

    def forward(self, x, z, t_x, t_z):
        return torch.zeros(*x.shape, 8, dtype=torch.float64), torch.full_like(z, 2.0)


def spied_constant(samples: int, schedule: str, **options) -> list[tuple]:
    denoiser = ConstantLatent()
    calls, model, process = record(denoiser), SimpleNamespace(denoiser=denoiser), MaskedProcess(LINEAR, MASK)
    source = pair_source(model, "continuous", (2, 3), process=process, schedule=schedule)
    draw(Joint, source, all_masked(samples, 64), noise(samples), **options)
    return calls


@leads
@pytest.mark.parametrize("schedule", GAUSSIAN_SCHEDULES)
def test_deterministic_latents_follow_their_clock(lead, schedule):
    # With a constant prediction the path is z_t = a(t) z_hat + s(t) z_1 at every step.
    calls = spied_constant(20, schedule, token_steps=5, latent_lead=lead)
    schedule = GAUSSIAN_SCHEDULES[schedule]
    start = noise(20).normal("latent_start", 0, 2, 3).float()
    assert len(calls) == 5
    for index, (_, z, _, _) in enumerate(calls):
        t = torch.tensor((1 - index / 5) ** lead, dtype=torch.float64)
        torch.testing.assert_close(z, (2 * schedule.signal(t) + schedule.noise(t) * start).float())


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_eta_is_the_share_of_fresh_noise_in_the_latents(eta):
    # After a step from pure noise the correlation with that noise is sqrt(1 - eta^2).
    (_, start, _, _), (_, z, _, _) = spied_constant(500, "linear", token_steps=2, eta=eta)
    correlation = torch.corrcoef(torch.stack([start.flatten(), z.flatten()]))[0, 1]
    assert float(correlation) == pytest.approx((1 - eta**2) ** 0.5, abs=5 / 3000**0.5)


class TwoPointLatent(nn.Module):
    """Exact denoiser of a latent that is -1 or +1, with tokens that are independent given it."""

    def __init__(self, ones: torch.Tensor, schedule):
        super().__init__()
        self.log_table = torch.stack([1 - ones, ones], dim=-1).log()  # (2, N, 2)
        self.schedule, self.token_head, self.latent_head = schedule, nn.Identity(), nn.Identity()

    def forward(self, x, z, t_x, t_z):
        a, s = self.schedule.signal(t_z[0]), self.schedule.noise(t_z[0])
        points = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        visible = nn.functional.one_hot(x, 3)[..., :2].double()
        score = torch.einsum("bnv,knv->bk", visible, self.log_table) - (z[:, 0] - a * points) ** 2 / (2 * s**2)
        posterior = torch.softmax(score, dim=1)
        tokens = torch.einsum("bk,knv->bnv", posterior, self.log_table.exp()).log()
        return tokens, (posterior @ points)[:, None, None]


@pytest.mark.parametrize(("eta", "lead"), [(0.0, 1.0), (1.0, 1.0), (0.0, 3.0)])
def test_many_steps_with_continuous_latents_give_the_exact_law(eta, lead):
    schedule, count = GAUSSIAN_SCHEDULES["cosine"], 4000
    model = SimpleNamespace(denoiser=TwoPointLatent(ONES[:2], schedule))
    source = pair_source(model, "continuous", (1, 1), process=BINARY, schedule="cosine")
    options = {"token_steps": 200, "eta": eta, "latent_lead": lead}
    x = draw(Joint, source, all_masked(count, 4, 2), noise(count), **options).tokens
    halves = torch.full((2,), 0.5, dtype=torch.float64)
    assert abs(chi_square_excess(x, mixture(halves, ONES[:2]).of_tokens())) < 5
    assert chi_square_excess(x, product_law(halves @ ONES[:2])) > 50


@pytest.mark.parametrize(("kind", "schedule"), [("continuous", "sqrt"), ("discrete", "linear")])
def test_finished_samples_make_no_more_passes(kind, schedule):
    x = all_masked(30)
    x[:15, 1:] = 3  # one token left: these samples finish early, maybe before their codes
    denoiser = Tables(6, 8, 2, 3)
    calls, model = record(denoiser), SimpleNamespace(denoiser=denoiser, codebook=one_hot_codebook(3))
    source = pair_source(model, kind, (2, 3), process=MaskedProcess(LINEAR, MASK), schedule=schedule)
    draw(Joint, source, x, noise(30), token_steps=40)
    assert all((given == MASK).any(dim=1).all() for given, *_ in calls)
    if kind == "continuous":
        assert len(calls[0][0]) == 30
