"""DiLaDiff: MDLM exactly before it is trained, and sequential Co-LADD in all else."""

from types import SimpleNamespace

import pytest
import torch

from ladd.diffusion.process import token_loss
from ladd.latents.prior import LatentPrior
from ladd.networks import DiT
from ladd.networks.adapted import AdaptedDiT
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample
from ladd.systems.base import Passes, backbone_macs
from tests.builders import blocks, network, perturb, suite_values
from tests.samplers.known_answers import NEUTRAL, all_masked, draw, noise
from tests.systems.rivals import bound_settings, made

LEARNED = blocks(suite_values()).latents["continuous"]
SHAPE, TOKENS, V = LEARNED.shape, 8, 3
CHANNEL = {"schedule": "sqrt", "times": "independent", "dropout": 0.0}


def settings(**changes) -> dict:
    return {"start": "mdlm", "latents": "continuous", "latent_channel": CHANNEL, "latent_noise": [0.0, 0.5]} | changes


def system(**changes):
    return made("diladiff", TOKENS, V, SHAPE, LEARNED, **settings(**changes))


PLAIN, ADAPTED = made("mdlm", TOKENS, V), system()


def both(moved: bool = False):
    """A baseline, and a model with its weights; the latents matter where it was moved."""
    torch.manual_seed(5)
    plain = perturb(PLAIN.build()).eval()
    model = ADAPTED.build().eval()
    own = model.denoiser.state_dict()
    state = plain.state_dict() | {name: own[name] for name in own if AdaptedDiT.is_new(name)}
    model.denoiser.load_state_dict(state)
    if moved:
        perturb(model.denoiser.readers)
    model.prior = perturb(LatentPrior(SHAPE.width, "sqrt", **network())).eval()
    return plain, model


def latents(count: int) -> torch.Tensor:
    return torch.randn(count, SHAPE.length, SHAPE.width, generator=torch.Generator().manual_seed(1))


def test_before_training_its_logits_are_those_of_mdlm_whatever_the_latents():
    plain, model = both()
    x, t = torch.randint(V + 1, (6, TOKENS)), torch.rand(6)
    hidden, z = model.denoiser(x, latents(6), t, torch.rand(6))
    assert torch.equal(model.denoiser.token_head(hidden), plain.token_head(plain(x, t)))
    assert torch.equal(z, latents(6))


def test_before_training_its_loss_bound_and_samples_are_those_of_mdlm():
    plain, model = both()
    x = torch.randint(V, (6, TOKENS))
    expected = token_loss(PLAIN.process, plain, x, noise(6), 4).mean() / TOKENS
    torch.testing.assert_close(ADAPTED.losses(model, x, latents(6), noise(6), 4)["loss"], expected)
    sampler = ADAPTED.samplers(ADAPTED.settings)["sequential"]
    values = NEUTRAL | {"token_steps": 4, "latent_steps": 3}
    found = sample(sampler.of(ADAPTED.source_of(model), values), all_masked(60, TOKENS, V), noise(60))
    source = PLAIN.source_of(plain)
    assert torch.equal(
        found.tokens, draw(Ancestral, source, all_masked(60, TOKENS, V), noise(60), token_steps=4).tokens
    )
    assert (found.latent_passes == 3).all()
    sweep = sweep_of("sequential")
    bounds = ADAPTED.bounds(model, x, bound_settings(2), sweep)
    token = PLAIN.bounds(plain, x, bound_settings(2), None)["token_elbo"]
    assert bounds.keys() == {"token_elbo", "token_loss_clean_latent"}
    torch.testing.assert_close(bounds["token_elbo"], token)


def sweep_of(schedule: str) -> SimpleNamespace:
    return SimpleNamespace(schedule=schedule, latent_lead=1.0)


def test_afterwards_tokens_depend_on_latents_and_on_their_order():
    _, model = both(moved=True)
    x, t = torch.full((1, TOKENS), V), torch.ones(1)
    z = latents(2)
    hidden, _ = model.denoiser(x, z, t, torch.zeros(2))
    assert hidden.shape == (2, TOKENS, 8)
    assert not torch.allclose(hidden[0], hidden[1], atol=1e-3)
    flipped, _ = model.denoiser(x, z.flip(1), t, torch.zeros(2))
    assert not torch.allclose(hidden, flipped, atol=1e-3)
    perturb(model.denoiser.latent_norm)
    clean, noisy = (model.denoiser(x, z, t, torch.full((2,), t_z))[0] for t_z in (0.0, 0.5))
    assert not torch.allclose(clean, noisy, atol=1e-4)
    alone, _ = model.denoiser(x, z[:1], t, torch.zeros(1))
    both_rows, _ = model.denoiser(x.expand(2, -1), z[:1], t.expand(2), torch.zeros(1))
    torch.testing.assert_close(alone.expand(2, -1, -1), both_rows)


def test_gradients_reach_the_latents_path_after_the_first_step():
    _, model = both()
    x = torch.randint(V, (6, TOKENS))
    ADAPTED.losses(model, x, latents(6), noise(6), 4)["loss"].backward()
    reader = model.denoiser.readers[0]
    assert reader.output.weight.grad.abs().max() > 0
    assert reader.query.weight.grad.abs().max() == 0  # its output is 0 yet


def test_readers_stand_behind_the_last_blocks():
    _, model = both()
    (one,) = (system(readers=1).build().denoiser,)
    assert len(model.denoiser.readers) == 2
    assert len(one.readers) == 1
    names = {name for name in one.state_dict() if not AdaptedDiT.is_new(name)}
    assert names == DiT(V, **network()).state_dict().keys()


def test_only_schedules_with_latents_first_and_the_plain_one_is_the_default():
    found = ADAPTED.samplers(ADAPTED.settings)
    assert next(iter(found)) == "sequential"
    assert "sequential-renoised" in found
    assert not {"joint", "latents-along"} & found.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"readers": 3}, "readers 3 must be at most"),
        ({"latent_weight": 1.0}, "latent_weight 1.0 must be 0"),
        ({"latents_first": 0.3}, "latents_first 0.3 must be 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        system(**changes)


def test_a_start_that_does_not_fit_is_refused():
    own = ADAPTED.settings
    own.check_start(PLAIN.settings)
    for baseline, message in (
        (made("ar", token_channel=None).settings, "start: 'mdlm' is ar"),
        (made("mdlm", network=network(layers=3, gate=1.0)).settings, "network: "),
        (made("mdlm", token_channel={"timed": True}).settings, r"token_channel\.timed: False"),
        (made("mdlm", token_channel={"schedule": "cosine"}).settings, r"token_channel\.schedule: linear"),
        (PLAIN.settings.model_copy(update={"data": "other"}), "start: 'mdlm' is of data 'other'"),
    ):
        with pytest.raises(ValueError, match=message):
            own.check_start(baseline)


def test_cost_by_hand():
    cost = ADAPTED.cost(Passes(4.0, 0.0))
    reader = 2 * TOKENS * 64 + 2 * SHAPE.length * 64 + 2 * TOKENS * SHAPE.length * 8
    macs = 4 * (backbone_macs(TOKENS, 8, 2) + 2 * reader)
    assert cost.gmacs * 1e9 == pytest.approx(macs)
    assert cost.gflops * 1e9 == pytest.approx(2 * (macs + TOKENS * 8 * V))
