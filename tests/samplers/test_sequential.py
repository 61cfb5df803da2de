"""Sequential schedule: latents first; then tokens that are independent given them need a single step."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.samplers.sequential import Sequential
from tests.samplers.known_answers import (
    LINEAR,
    MASK,
    ONES,
    PRIOR,
    SQRT,
    ExactDenoiser,
    Law,
    Tables,
    all_masked,
    case,
    chi_square_excess,
    draw,
    every_sequence,
    mixture,
    noise,
    number,
    one_hot_codebook,
    options_of,
    pair_source,
    product_law,
    record,
)

LAW, COUNT = mixture(PRIOR, ONES), 10_000


def sample_exact(
    law: Law, token_steps: int, latent_steps: int, given: torch.Tensor | None = None, **options
) -> torch.Tensor:
    model = SimpleNamespace(denoiser=ExactDenoiser(law), codebook=one_hot_codebook(law.codebook))
    process, shape = MaskedProcess(LINEAR, law.vocabulary), (law.codes.shape[1], law.codebook)
    source = pair_source(model, "discrete", shape, process=process)
    start = all_masked(COUNT, law.tokens.shape[1], law.vocabulary) if given is None else given
    return draw(
        Sequential, source, start, noise(COUNT), token_steps=token_steps, latent_steps=latent_steps, **options
    ).tokens


@pytest.mark.parametrize("steps", [1, 3])
def test_one_latent_step_and_any_token_steps_give_the_exact_mixture(steps):
    x = sample_exact(LAW, steps, 1)
    assert abs(chi_square_excess(x, LAW.of_tokens())) < 5
    assert chi_square_excess(x, product_law(PRIOR @ ONES)) > 50


def test_temperature_sharpens_codes_and_tokens_once():
    sharp_prior, sharp_ones = PRIOR**2 / (PRIOR**2).sum(), ONES**2 / (ONES**2 + (1 - ONES) ** 2)
    ones = torch.tensor([[0.3, 0.4, 0.6, 0.7], [0.6, 0.4, 0.3, 0.6], [0.5, 0.7, 0.7, 0.4]], dtype=torch.float64)
    sharp_ones = ones**2 / (ones**2 + (1 - ones) ** 2)
    x = sample_exact(mixture(PRIOR, ones), 1, 1, temperature=0.5)
    assert abs(chi_square_excess(x, mixture(sharp_prior, sharp_ones).of_tokens())) < 5
    assert chi_square_excess(x, mixture(PRIOR, sharp_ones).of_tokens()) > 50


def two_codes() -> Law:
    """Two dependent codes, and four tokens that are independent given both."""
    pairs = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    codes, tokens = every_sequence(2), every_sequence(4)
    first, second = torch.tensor([0.15, 0.85]).double(), torch.tensor([0.75, 0.25]).double()
    ones = torch.stack([first[codes[:, 0]], first[codes[:, 0]], second[codes[:, 1]], second[codes[:, 1]]], dim=1)
    table = torch.stack([1 - ones, ones], dim=-1)[:, torch.arange(4), tokens].prod(dim=-1)
    return Law(tokens.repeat(4, 1), codes.repeat_interleave(16, dim=0), (pairs.flatten()[:, None] * table).flatten())


def test_many_latent_steps_give_the_exact_law_of_dependent_codes():
    law = two_codes()
    assert abs(chi_square_excess(sample_exact(law, 1, 100), law.of_tokens())) < 5


def test_one_latent_step_makes_dependent_codes_independent():
    law = two_codes()
    x = sample_exact(law, 1, 1)
    assert chi_square_excess(x, law.of_tokens()) > 50


def test_infilling_lets_the_given_tokens_choose_the_code():
    given = all_masked(COUNT, 4, 2)
    given[:, [0, 3]] = torch.tensor([1, 0])
    x = sample_exact(LAW, 1, 1, given)
    match = (every_sequence(4)[:, [0, 3]] == torch.tensor([1, 0])).all(dim=1)
    conditional = LAW.of_tokens()[match]
    assert abs(chi_square_excess(x[:, [1, 2]], conditional / conditional.sum())) < 5


def test_code_passes_see_masked_tokens_and_token_passes_clean_codes():
    network, _, run = case("sequential-discrete")
    calls = record(network)
    samples = run(all_masked(20), noise(20), options=options_of("sequential-discrete", 5))
    code_calls = [call for call in calls if len(call) == 5]
    token_calls = [call for call in calls if len(call) == 4]
    assert calls == code_calls + token_calls
    for x, _, t_x, t_z, z_masked in code_calls:
        assert (x == MASK).all()
        assert (t_x == 1).all()
        assert (t_z > 0).all()
        assert z_masked.any(dim=1).all()
    for x, z, t_x, t_z in token_calls:
        assert (x == MASK).any(dim=1).all()
        assert (z.sum(dim=-1) == 1).all()
        assert (t_x > 0).all()
        assert (t_z == 0).all()
    assert {len(x) for x, *_ in code_calls} == {1}  # the tokens are the same in all samples
    made = sum(len(z) for _, z, *_ in code_calls), sum(len(z) for _, z, *_ in token_calls)
    assert min(made) > 20
    assert (samples.latent_passes == 0).all()


class GaussianLatent(nn.Module):
    """E[z_0 | z_t] of independent coordinates N(mean, spread^2)."""

    def __init__(self, mean: float, spread: float, schedule):
        super().__init__()
        self.mean, self.variance, self.schedule = mean, spread**2, schedule

    def forward(self, z, t):
        a, s = self.schedule.signal(t)[:, None, None], self.schedule.noise(t)[:, None, None]
        return self.mean + a * self.variance / (a**2 * self.variance + s**2) * (z - a * self.mean)


class SignOfLatent(nn.Module):
    """Token i is 1 where latent i is positive."""

    def __init__(self):
        super().__init__()
        self.token_head = self.latent_head = nn.Identity()

    def forward(self, x, z, t_x, t_z):
        positive = (z[..., 0] > 0).double()
        return torch.stack([1 - positive, positive], dim=-1).log(), None


def sample_signs(prior: nn.Module, schedule: str, options: dict, count: int = 2000, tokens: int = 4):
    """Tokens, and the latents that they were given."""
    denoiser, process = SignOfLatent(), MaskedProcess(LINEAR, 2)
    calls, x = record(denoiser), all_masked(count, tokens, 2)
    model = SimpleNamespace(denoiser=denoiser, prior=prior)
    source = pair_source(model, "continuous", (tokens, 1), process=process, schedule=schedule)
    return draw(Sequential, source, x, noise(count), **options), calls


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("schedule", GAUSSIAN_SCHEDULES)
def test_many_latent_steps_give_the_mean_and_variance_of_the_data(eta, schedule):
    mean, spread = 0.5, 0.4
    options = {"token_steps": 1, "latent_steps": 300, "eta": eta}
    samples, ((_, z, _, _),) = sample_signs(
        GaussianLatent(mean, spread, GAUSSIAN_SCHEDULES[schedule]), schedule, options
    )
    count = z.numel()
    assert abs(float(z.mean()) - mean) < 5 * spread / count**0.5
    assert float(z.std()) == pytest.approx(spread, abs=5 * spread / (2 * count) ** 0.5 + 0.01)
    assert torch.equal(samples.tokens, (z[..., 0] > 0).long())


def test_latent_noise_of_the_samples_is_independent():
    options = {"token_steps": 1, "latent_steps": 30, "eta": 1.0}
    _, ((_, z, _, _),) = sample_signs(GaussianLatent(0.0, 1.0, GAUSSIAN_SCHEDULES["cosine"]), "cosine", options)
    correlations = torch.corrcoef(z[..., 0].T) - torch.eye(4)
    assert correlations.abs().max() < 5 / len(z) ** 0.5


class ConstantLatent(nn.Module):
    """A prior that predicts z_0 = 2."""

    def forward(self, z, t):
        return torch.full_like(z, 2.0)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_eta_is_the_share_of_fresh_noise_in_the_latents(eta):
    # After a step from pure noise the correlation with that noise is sqrt(1 - eta^2).
    prior = ConstantLatent()
    calls = record(prior)
    sample_signs(prior, "sqrt", {"token_steps": 1, "latent_steps": 2, "eta": eta}, count=1000)
    (start, _), (z, _) = calls
    correlation = torch.corrcoef(torch.stack([start.flatten(), z.flatten()]))[0, 1]
    assert float(correlation) == pytest.approx((1 - eta**2) ** 0.5, abs=5 / 4000**0.5)


@pytest.mark.parametrize("steps", [1, 7])
def test_each_sample_keeps_its_own_latents_through_all_token_steps(steps):
    class KeepsNoise(nn.Module):
        def forward(self, z, t):
            return z

    options = {"token_steps": steps, "latent_steps": 1}
    samples, _ = sample_signs(KeepsNoise(), "sqrt", options, count=50, tokens=6)
    start = noise(50).normal("latent_start", 0, 6, 1)
    assert torch.equal(samples.tokens, (start[..., 0] > 0).long())


def test_prior_runs_on_a_uniform_grid_and_is_charged():
    prior = GaussianLatent(0.0, 1.0, SQRT)
    calls = record(prior)
    samples, _ = sample_signs(prior, "sqrt", {"token_steps": 2, "latent_steps": 5}, count=10)
    assert [t.tolist() for _, t in calls] == [pytest.approx([1 - i / 5] * 10) for i in range(5)]
    assert (samples.latent_passes == 5).all()
    assert (samples.token_passes <= 2).all()


def test_continuous_token_passes_have_clean_latents():
    denoiser = Tables(6, 8, 2, 3)
    calls, model = record(denoiser), SimpleNamespace(denoiser=denoiser, prior=lambda z, t: z)
    options = {"token_steps": 3, "latent_steps": 2}
    process = MaskedProcess(LINEAR, MASK)
    source = pair_source(model, "continuous", (2, 3), process=process, schedule="sqrt")
    draw(Sequential, source, all_masked(9), noise(9), **options)
    assert all((t_z == 0).all() and (t_x > 0).all() for _, _, t_x, t_z in calls)


def test_numbers_of_sequences_are_their_lexicographic_order():
    assert number(every_sequence(3, 4), 4).tolist() == list(range(64))
