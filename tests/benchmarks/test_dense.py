"""Same seeds, same tokens and same gradients as the dense path, with networks in float64."""

from unittest import mock

import pytest
import torch

from benchmarks import dense
from ladd.latents.codebook import Codebook
from ladd.models import Ladd
from ladd.networks import DiT, MMDiT
from ladd.objectives import cross_entropy, joint, masked
from ladd.objectives.joint import Latents, channel_losses, draw_channel_times
from ladd.objectives.masked import mdlm_loss
from ladd.randomness import SampleNoise
from ladd.samplers import SamplingOptions, sample_joint_continuous, sample_masked, sample_sequential_discrete
from ladd.schedules import GAUSSIAN_SCHEDULES, MASKED_SCHEDULES
from ladd.training.ema import WeightAverage
from tests.builders import network, perturb

SAMPLES, TOKENS, VOCABULARY, LENGTH, WIDTH, CODES = 24, 16, 50, 3, 4, 7
LINEAR, COSINE, SQRT = MASKED_SCHEDULES["linear"], MASKED_SCHEDULES["cosine"], GAUSSIAN_SCHEDULES["sqrt"]


@pytest.fixture(autouse=True)
def _double(monkeypatch):
    """Batches of other sizes round otherwise; in float64 that changes no draw."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def mdlm() -> DiT:
    torch.manual_seed(0)
    return perturb(DiT(VOCABULARY, **network())).eval()


def ladd(outputs: int) -> Ladd:
    torch.manual_seed(0)
    codebook = Codebook(CODES, WIDTH)
    codebook.vectors.normal_()
    denoiser = MMDiT(VOCABULARY, latent_width=WIDTH, latent_outputs=outputs, **network())
    return Ladd(perturb(denoiser).eval(), None, codebook if outputs == CODES else None, None, 1.0)


def starting_tokens(given: bool) -> torch.Tensor:
    x = torch.randint(VOCABULARY, (SAMPLES, TOKENS), generator=torch.Generator().manual_seed(1))
    seen = torch.rand(SAMPLES, TOKENS, generator=torch.Generator().manual_seed(2)) < 0.3
    return torch.where(seen, x, VOCABULARY) if given else torch.full_like(x, VOCABULARY)


noise = SampleNoise(5, torch.arange(SAMPLES))
budgets = pytest.mark.parametrize("steps", [1, 2, 8, 40])
starts = pytest.mark.parametrize("given", [False, True])


@budgets
@starts
def test_masked_sampler_draws_the_tokens_of_the_dense_one(steps, given):
    x, options, model = starting_tokens(given), SamplingOptions(steps, temperature=0.9), mdlm()
    expected = dense.sample_masked(model, x, noise, LINEAR, options)
    assert torch.equal(sample_masked(model, x, noise, LINEAR, options, mask_id=VOCABULARY).tokens, expected)
    assert len(expected.unique(dim=0)) == SAMPLES


@budgets
@starts
def test_joint_sampler_draws_the_tokens_of_the_dense_one(steps, given):
    x, options, model = starting_tokens(given), SamplingOptions(steps, latent_lead=2.0, eta=0.5), ladd(WIDTH)
    shape = (LENGTH, WIDTH)
    expected = dense.sample_joint_continuous(model, x, noise, LINEAR, SQRT, options, shape)
    found = sample_joint_continuous(model, x, noise, LINEAR, SQRT, options, mask_id=VOCABULARY, latent_shape=shape)
    assert torch.equal(found.tokens, expected)


@budgets
@starts
def test_sequential_sampler_draws_the_tokens_of_the_dense_one(steps, given):
    x, options, model = starting_tokens(given), SamplingOptions(steps, latent_steps=3), ladd(CODES)
    expected = dense.sample_sequential_discrete(model, x, noise, LINEAR, COSINE, options, LENGTH)
    arguments = (model, x, noise, LINEAR, COSINE, options)
    found = sample_sequential_discrete(*arguments, mask_id=VOCABULARY, latent_length=LENGTH)
    assert torch.equal(found.tokens, expected)


@pytest.fixture(params=[1, 5], ids=["at once", "in parts"])
def parts(request, monkeypatch):
    monkeypatch.setattr(cross_entropy, "LOGITS_AT_A_TIME", SAMPLES * TOKENS * VOCABULARY // request.param)


def gradients_of(model, compute) -> dict[str, torch.Tensor]:
    model.zero_grad()
    compute().mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reference", [dense.masked_cross_entropy, dense.fused_cross_entropy])
def test_gradients_of_masked_diffusion_are_those_of_the_dense_loss(parts, reference):
    model, x = mdlm(), torch.randint(VOCABULARY, (SAMPLES, TOKENS))

    def loss():
        return mdlm_loss(model, x, noise, 3, LINEAR, mask_id=VOCABULARY)

    found = gradients_of(model, loss)
    with mock.patch.object(masked, "masked_cross_entropy", reference):
        expected = gradients_of(model, loss)
    assert len(expected) == len(list(model.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_gradients_of_both_channels_are_those_of_the_dense_losses(parts, kind):
    discrete = kind == "discrete"
    model = ladd(CODES if discrete else WIDTH)
    codes = torch.randint(CODES, (SAMPLES, LENGTH))
    latents = Latents(model.codebook.lookup(codes), codes) if discrete else Latents(torch.randn(SAMPLES, LENGTH, WIDTH))
    x, times = torch.randint(VOCABULARY, (SAMPLES, TOKENS)), draw_channel_times(noise, 0, "independent")

    def loss():
        schedules = (LINEAR, COSINE if discrete else SQRT)
        losses = channel_losses(model.denoiser, x, latents, times, noise, 0, *schedules, mask_id=VOCABULARY)
        return losses.token + losses.latent

    found = gradients_of(model, loss)
    with mock.patch.object(joint, "masked_cross_entropy", dense.masked_cross_entropy):
        expected = gradients_of(model, loss)
    assert any(name.startswith("denoiser.latent_head") for name in expected)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)


def test_average_is_that_of_the_dense_one():
    model = mdlm()
    ours, theirs = WeightAverage(model, 0.5), WeightAverage(model, 0.5)
    for _ in range(3):
        perturb(model)
        ours.update(model)
        dense.update_average(theirs, model)
    torch.testing.assert_close(ours.model.state_dict(), theirs.model.state_dict())
    assert ours.updates == theirs.updates == 3
