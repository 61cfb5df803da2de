"""Bounds of exact denoisers are the exact likelihood."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.evaluation.bounds import BoundSettings, average_draws, token_bound
from ladd.evaluation.estimate import estimate
from ladd.samplers.joint import Joint
from ladd.samplers.sequential import Sequential
from ladd.systems.ar import Ar
from ladd.systems.channels import Channel, Codes, Vectors
from ladd.systems.ladd import Ladd, encode_all
from ladd.tasks.sawtooth import SawtoothReference, draw_sequences
from tests.samplers.known_answers import ExactDenoiser, Law, Tables, every_sequence, number, record

TOKENS = 8
SAWTOOTH = SawtoothReference(TOKENS, 2, 0.05, 64)


def settings(time_draws: int = 16, batch: int = 64, seed: int = 0) -> BoundSettings:
    return BoundSettings(time_draws, batch, seed)


def sequences(count: int) -> torch.Tensor:
    return torch.from_numpy(draw_sequences(count, 0, "test", tokens=TOKENS, periods=2, floor=0.05)).long()


def bound_of(x: torch.Tensor, settings: BoundSettings, schedule: str = "linear") -> torch.Tensor:
    return token_bound(MaskedProcess(DISCRETE_SCHEDULES[schedule], 2), SAWTOOTH, x, settings)


def agree(values: torch.Tensor, exact: torch.Tensor, precision: float) -> None:
    """Paired values agree within 4 standard errors, which are themselves small."""
    difference = estimate(values - exact)
    assert difference.stderr < precision
    assert abs(difference.value) < 4 * difference.stderr


def test_estimate_is_the_mean_with_its_standard_error():
    value, stderr, n = estimate(torch.tensor([1.0, 2.0, 6.0]))
    assert (value, n) == (3.0, 3)
    assert stderr == pytest.approx((7 / 3) ** 0.5)


@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
def test_masked_bound_of_the_exact_denoiser_is_the_exact_likelihood(schedule):
    x = sequences(500)
    bound = bound_of(x, settings(), schedule)
    agree(bound, -SAWTOOTH.log_likelihood(x) / TOKENS, 0.01)


@pytest.mark.parametrize("batch", [2, 37, 400])
def test_bound_does_not_depend_on_the_batch_size(batch):
    x = sequences(200)
    bound = bound_of(x, settings(batch=batch))
    assert bound.shape == (200,)
    agree(bound, -SAWTOOTH.log_likelihood(x) / TOKENS, 0.02)


def test_more_time_draws_give_a_smaller_standard_error():
    errors = [estimate(bound_of(sequences(400), settings(draws))).stderr for draws in (1, 4, 32)]
    assert errors[1] < 0.8 * errors[0]
    assert errors[2] < 0.8 * errors[1]


def test_bounds_are_reproducible_and_depend_on_the_seed():
    x = sequences(50)
    first, again, other = (bound_of(x, settings(2, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("batch", [8, 3])
def test_value_of_each_sequence_is_its_own_and_meets_every_stratum(batch):
    places, seen = [], []

    def loss(rows, noise, draw):
        assert torch.equal(noise.samples, rows)
        seen.append((draw, rows))
        places.append(torch.arange(len(rows))[rows.argsort()])
        return rows.double()

    values = average_draws(torch.zeros(batch, 2), settings(time_draws=batch, batch=8), loss)
    assert values.tolist() == [row / 2 for row in range(batch)]
    assert [draw for draw, _ in seen] == list(range(batch))
    # Times are stratified over the places of the batch: over the draws, each sequence is at every place.
    assert torch.equal(torch.stack(places).sort(dim=0).values, torch.arange(batch)[:, None].expand(batch, batch))


def test_each_sequence_averages_to_its_own_likelihood():
    x = sequences(4)
    values = torch.stack([bound_of(x, settings(40, seed=seed)) for seed in range(40)])
    error = values.std(dim=0) / 40**0.5
    assert error.max() < 0.05
    assert ((values.mean(dim=0) + SAWTOOTH.log_likelihood(x) / TOKENS).abs() < 5 * error).all()


class ExactNextToken(nn.Module):
    """p(x_i | x_<i) of the sawtooth, from all positions at once."""

    def __init__(self):
        super().__init__()
        self.token_head = nn.Identity()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        assert (inputs[:, 0] == 2).all()
        x = torch.cat([inputs[:, 1:], inputs[:, :1]], dim=1)
        hidden = [SAWTOOTH(torch.where(torch.arange(TOKENS) < i, x, 2))[:, i] for i in range(TOKENS)]
        return torch.stack(hidden, dim=1)


@pytest.mark.parametrize("batch", [7, 100])
def test_autoregressive_bound_is_the_exact_likelihood(batch):
    x = sequences(50)
    bound = Ar.bounds(SimpleNamespace(vocabulary=2), ExactNextToken(), x, settings(batch=batch), None)["token_elbo"]
    torch.testing.assert_close(bound, -SAWTOOTH.log_likelihood(x) / TOKENS, rtol=1e-5, atol=1e-6)


def coded_law() -> Law:
    """A random law of four tokens, with two codes that are functions of them."""
    x = every_sequence(4)
    codes = torch.stack([(x[:, 0] + x[:, 1]) % 2, x[:, 2] * x[:, 3]], dim=1)
    generator = torch.Generator().manual_seed(4)
    probability = torch.rand(len(x), generator=generator, dtype=torch.float64) ** 2 + 0.02
    return Law(x, codes, probability / probability.sum())


LAW = coded_law()
NLL = -LAW.probability.log() / 4
CODE_PROBABILITY = torch.bincount(number(LAW.codes, 2), weights=LAW.probability)[number(LAW.codes, 2)]
CODE_NLL = -CODE_PROBABILITY.log() / 4


def encode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    codes = LAW.codes[number(x, 2)]
    return nn.functional.one_hot(codes, 2).float(), codes


def exact_model() -> SimpleNamespace:
    return SimpleNamespace(denoiser=ExactDenoiser(LAW), encode=encode)


def ladd_bounds(
    model: SimpleNamespace,
    x: torch.Tensor,
    channel: Channel,
    settings: BoundSettings,
    *,
    inference: str,
    schedule: str = "linear",
    latent_lead: float = 1.0,
    token_only: bool = False,
) -> dict[str, torch.Tensor]:
    """Bounds of LADD on two tokens that are 0 or 1, whatever the sampler's other settings."""
    kinds = {"joint": Joint, "sequential": Sequential}
    system = SimpleNamespace(process=MaskedProcess(DISCRETE_SCHEDULES[schedule], 2), channel=channel, settings=None)
    system.samplers = lambda settings: kinds
    sweep = SimpleNamespace(schedule=inference, latent_lead=latent_lead)
    return Ladd.bounds(system, model, x, settings, sweep, token_only=token_only)


def exact_bounds(inference: str, lead: float = 1.0, schedule: str = "linear", **changes):
    """Bounds of the exact model on samples of its law, and the places of those."""
    generator = torch.Generator().manual_seed(5)
    places = torch.multinomial(LAW.probability, 600, replacement=True, generator=generator)
    options = {"inference": inference, "latent_lead": lead, "schedule": schedule}
    bounds = ladd_bounds(exact_model(), LAW.tokens[places], Codes(schedule, 2), settings(**changes), **options)
    return bounds, places


@pytest.mark.parametrize("schedule", ["linear", "geometric"])
def test_sequential_full_bound_of_the_exact_model_is_the_exact_likelihood(schedule):
    bounds, places = exact_bounds("sequential", schedule=schedule)
    agree(bounds["full_bound"], NLL[places], 0.02)


@pytest.mark.parametrize("lead", [1.0, 3.0])
@pytest.mark.parametrize("schedule", ["linear", "polynomial"])
def test_joint_full_bound_of_the_exact_model_is_the_exact_likelihood(lead, schedule):
    bounds, places = exact_bounds("joint", lead, schedule)
    agree(bounds["full_bound"], NLL[places], 0.02)


def test_sequential_terms_are_those_of_tokens_given_codes_and_of_codes():
    bounds, places = exact_bounds("sequential")
    agree(bounds["token_elbo"], (NLL - CODE_NLL)[places], 0.02)
    agree(bounds["full_bound"] - bounds["token_elbo"], CODE_NLL[places], 0.02)


@pytest.mark.parametrize("inference", ["sequential", "joint"])
def test_token_loss_given_the_clean_latent_is_reported_under_both_schedules(inference):
    bounds, places = exact_bounds(inference)
    agree(bounds["token_loss_clean_latent"], (NLL - CODE_NLL)[places], 0.02)
    assert set(bounds) == {"token_elbo", "token_loss_clean_latent", "full_bound"}


def test_token_term_alone_is_no_bound():
    bounds, places = exact_bounds("joint", 3.0)
    difference = estimate(bounds["token_elbo"] - NLL[places])
    assert difference.value < -4 * difference.stderr


def test_a_wrong_model_has_a_larger_full_bound():
    class Uniform(ExactDenoiser):
        def forward(self, *given):
            return tuple(torch.zeros_like(part) for part in super().forward(*given))

    model = SimpleNamespace(denoiser=Uniform(LAW), encode=encode)
    x = LAW.tokens.repeat(20, 1)
    bound = ladd_bounds(model, x, Codes("linear", 2), settings(), inference="sequential")["full_bound"]
    uniform = torch.full((len(x),), 6 / 4, dtype=torch.float64) * torch.log(torch.tensor(2.0))
    agree(bound, uniform, 0.03)


def continuous_model() -> SimpleNamespace:
    return SimpleNamespace(
        denoiser=Tables(4, 2, 2, 3), encode=lambda x: (x[:, :2, None].double().expand(-1, -1, 3) + 0.5, None)
    )


@pytest.mark.parametrize("inference", ["sequential", "joint"])
def test_continuous_latents_have_no_full_bound(inference):
    model, gaussian = continuous_model(), Vectors("sqrt")
    x = every_sequence(4)
    bounds = ladd_bounds(model, x, gaussian, settings(3, 5), inference=inference)
    assert set(bounds) == {"token_elbo", "token_loss_clean_latent"}
    assert all(values.shape == (16,) and values.isfinite().all() for values in bounds.values())


def test_clean_latent_means_the_latent_itself_at_time_zero():
    model, gaussian, x = continuous_model(), Vectors("sqrt"), every_sequence(4)[:1]
    calls = record(model.denoiser)
    ladd_bounds(model, x, gaussian, settings(3, 1), inference="sequential")
    assert len(calls) == 3
    for _, z, _, t_z, _ in calls:
        assert torch.equal(z, model.encode(x)[0])
        assert (t_z == 0).all()


@pytest.mark.parametrize("lead", [1.0, 2.0])
def test_joint_bounds_are_taken_on_the_path_of_the_joint_schedule(lead):
    model, gaussian, x = continuous_model(), Vectors("sqrt"), every_sequence(4)
    calls = record(model.denoiser)
    ladd_bounds(model, x, gaussian, settings(2, 16), inference="joint", latent_lead=lead)
    joint = [(t_x, t_z) for _, _, t_x, t_z, _ in calls if (t_z > 0).all()]
    assert len(joint) == 2
    assert all(torch.equal(t_z, t_x**lead) for t_x, t_z in joint)


def test_latents_of_all_sequences_are_encoded_once():
    parts = []

    def encode_part(part):
        parts.append(part)
        return encode(part)

    x = LAW.tokens
    latents = encode_all(SimpleNamespace(encode=encode_part), x, 5)
    assert [len(part) for part in parts] == [5, 5, 5, 1]
    assert torch.equal(torch.cat(parts), x)
    assert torch.equal(latents.codes, LAW.codes)
    assert torch.equal(latents.vectors, encode(x)[0])


@pytest.mark.parametrize("inference", ["sequential", "joint"])
@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_token_term_alone_is_that_of_all_bounds_and_takes_no_other_pass(inference, kind):
    x = every_sequence(4)
    model = exact_model() if kind == "discrete" else continuous_model()
    channel = Codes("linear", 2) if kind == "discrete" else Vectors("sqrt")
    calls, options = record(model.denoiser), {"inference": inference, "latent_lead": 2.0}
    alone = ladd_bounds(model, x, channel, settings(3, 5), token_only=True, **options)
    assert len(calls) == 3 * 4  # draws x batches
    whole = ladd_bounds(model, x, channel, settings(3, 5), **options)
    terms = 1 if (inference, kind) == ("sequential", "continuous") else 2
    assert len(calls) == 3 * 4 * (1 + terms)
    assert set(alone) == {"token_elbo"}
    assert torch.equal(alone["token_elbo"], whole["token_elbo"])
