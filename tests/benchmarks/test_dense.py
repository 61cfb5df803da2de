"""Same seeds, same tokens and same gradients as the dense path, with networks in float64."""

import pytest
import torch

from benchmarks import dense
from ladd.diffusion import heads
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import token_loss
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import draw_channel_times
from ladd.latents.codebook import Codebook
from ladd.networks import DiT, MMDiT
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.joint import Joint
from ladd.samplers.sequential import Sequential
from ladd.systems.channels import Codes, Latents, Vectors, pair_losses
from ladd.systems.ladd import LaddModel
from ladd.training.loop import WeightAverage
from tests.builders import network, perturb
from tests.samplers.known_answers import draw, pair_source, token_source

SAMPLES, TOKENS, VOCABULARY, LENGTH, WIDTH, CODES = 24, 16, 50, 3, 4, 7
LINEAR = MaskedProcess(DISCRETE_SCHEDULES["linear"], VOCABULARY)
DENSE = dense.DenseProcess(LINEAR, dense.masked_cross_entropy)


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


def ladd(outputs: int) -> LaddModel:
    torch.manual_seed(0)
    codebook = Codebook(CODES, WIDTH)
    codebook.vectors.normal_()
    denoiser = MMDiT(VOCABULARY, latent_width=WIDTH, latent_outputs=outputs, **network())
    return LaddModel(perturb(denoiser).eval(), None, codebook if outputs == CODES else None, 1.0)


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
    x, model, options = starting_tokens(given), mdlm(), {"token_steps": steps, "temperature": 0.9}
    ours, theirs = (token_source(model, process, share_rows=process is LINEAR) for process in (LINEAR, DENSE))
    expected = draw(Ancestral, theirs, x, noise, **options).tokens
    assert torch.equal(draw(Ancestral, ours, x, noise, **options).tokens, expected)
    assert len(expected.unique(dim=0)) == SAMPLES


@budgets
@starts
@pytest.mark.parametrize(
    ("kind", "outputs", "options"),
    [(Joint, WIDTH, {"latent_lead": 2.0, "eta": 0.5}), (Joint, CODES, {}), (Sequential, CODES, {"latent_steps": 3})],
)
def test_samplers_of_pairs_draw_the_tokens_of_the_dense_ones(steps, given, kind, outputs, options):
    x, model = starting_tokens(given), ladd(outputs)
    latents, schedule = ("continuous", "sqrt") if outputs == WIDTH else ("discrete", "cosine")
    found = []
    for process in (LINEAR, DENSE):
        asked = {"process": process, "schedule": schedule, "share_rows": process is LINEAR}
        source = pair_source(model, latents, (LENGTH, outputs), **asked)
        if process is DENSE and outputs == CODES:
            source.latents.process.__class__ = dense.DenseProcess
        found.append(draw(kind, source, x, noise, token_steps=steps, **options).tokens)
    assert torch.equal(*found)


@pytest.fixture(params=[1, 5], ids=["at once", "in parts"])
def parts(request, monkeypatch):
    monkeypatch.setattr(heads, "LOGITS_AT_A_TIME", SAMPLES * TOKENS * VOCABULARY // request.param)


def gradients_of(model, compute) -> dict[str, torch.Tensor]:
    model.zero_grad()
    compute().mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("reference", [dense.masked_cross_entropy, dense.fused_cross_entropy])
def test_gradients_of_masked_diffusion_are_those_of_the_dense_loss(parts, reference):
    model, x = mdlm(), torch.randint(VOCABULARY, (SAMPLES, TOKENS))
    found, expected = (
        gradients_of(model, lambda process=process: token_loss(process, model, x, noise, 3))
        for process in (LINEAR, dense.DenseProcess(LINEAR, reference))
    )
    assert len(expected) == len(list(model.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_gradients_of_both_channels_are_those_of_the_dense_losses(parts, kind):
    discrete = kind == "discrete"
    model = ladd(CODES if discrete else WIDTH)
    codes = torch.randint(CODES, (SAMPLES, LENGTH))
    latents = Latents(model.codebook.lookup(codes), codes) if discrete else Latents(torch.randn(SAMPLES, LENGTH, WIDTH))
    x, times = torch.randint(VOCABULARY, (SAMPLES, TOKENS)), draw_channel_times(noise, 0, "independent")
    channel = Codes("cosine", CODES) if discrete else Vectors("sqrt")

    def loss(process: MaskedProcess):
        losses = pair_losses(model.denoiser, x, latents, times, noise, 0, process, channel)
        return losses.token + losses.latent

    found = gradients_of(model, lambda: loss(LINEAR))
    if discrete:
        channel.process = dense.DenseProcess(channel.process, dense.masked_cross_entropy)
    expected = gradients_of(model, lambda: loss(DENSE))
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
