"""From configuration to networks."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.systems.base import Surroundings
from ladd.systems.co_ladd import CoLadd
from ladd.systems.stage1 import build_encoder
from tests.builders import blocks, perturb, stage1, suite_values, system, untrained

X = torch.randint(2, (5, 8))


def rates(module: nn.Module) -> set[float]:
    return {m.p for m in module.modules() if isinstance(m, nn.Dropout)}


def with_dropout() -> SimpleNamespace:
    """A suite in which every network has a dropout of its own."""
    values = suite_values()
    for place, rate in (
        (values["latents"]["continuous"]["encoder"], 0.11),
        (values["latents"]["continuous"]["denoiser"], 0.12),
        (values["models"]["co"]["network"], 0.12),
        (values["baselines"]["mdlm"]["network"], 0.14),
        (values["baselines"]["ar"]["network"], 0.15),
    ):
        place["dropout"] = rate
    return blocks(values)


def test_configured_dropout_reaches_every_network():
    config = with_dropout()
    ladd = untrained(config, "co")
    assert rates(ladd.encoder) == {0.11}
    assert rates(ladd.denoiser) == {0.12}
    assert rates(system(config, "mdlm").build()) == {0.14}
    assert rates(system(config, "ar").build()) == {0.15}
    assert rates(stage1(config, "continuous").build()) == {0.11, 0.12}


def test_configured_rotary_base_reaches_every_network():
    values = suite_values()
    for block in (values["latents"]["continuous"], values["latents"]["discrete"]):
        block["encoder"]["rope_base"] = block["denoiser"]["rope_base"] = 50.0
    config = blocks(values)
    model = stage1(config, "continuous").build()
    assert model.encoder.trunk.transformer.rope_base == model.denoiser.transformer.rope_base == 50.0


def test_timed_is_passed_on():
    values = suite_values()
    values["baselines"]["mdlm"]["token_channel"]["timed"] = True
    values["latents"]["continuous"]["token_channel"]["timed"] = True
    values["models"]["co"]["token_channel"]["timed"] = True
    timed = blocks(values)
    assert system(timed, "mdlm").build().time is not None
    assert untrained(timed, "co").denoiser.time is not None
    assert untrained(blocks(), "co").denoiser.time is None


@pytest.mark.parametrize(("key", "outputs"), [("co", 4), ("di", 3)])
def test_latent_head_predicts_coordinates_or_codes(key, outputs):
    assert untrained(blocks(), key).denoiser.latent_head.out_features == outputs


def test_only_di_ladd_has_a_codebook():
    di = untrained(blocks(), "di")
    co = untrained(blocks(), "co")
    assert di.codebook.vectors.shape == (3, 4)
    assert co.codebook is None


@pytest.mark.parametrize(("unit_variance", "expected"), [(True, 2.0), (False, 1.0)])
def test_latent_scale_is_the_square_root_of_the_width_or_one(unit_variance, expected):
    config = blocks().latents["continuous"].model_copy(update={"unit_variance": unit_variance})
    assert config.shape.scale == expected
    ladd = perturb(CoLadd(blocks().models["co"], Surroundings(2, 8, config.shape, config)).build())
    torch.testing.assert_close(ladd.encode(X)[0].norm(dim=-1), torch.full((5, 2), expected))


def test_stage_1_weights_load_into_stage_2():
    config = blocks()
    stage_1 = perturb(stage1(config, "continuous").build())
    ladd = untrained(config, "co")
    ladd.denoiser.load_state_dict(stage_1.denoiser.state_dict())
    ladd.encoder.load_state_dict(stage_1.encoder.state_dict())
    torch.testing.assert_close(ladd.eval().encode(X)[0], stage_1.eval().encode(X).vectors)


def test_encoder_of_stage_2_is_frozen_and_the_denoiser_is_not():
    ladd = untrained(blocks(), "co")
    assert not any(p.requires_grad for p in ladd.encoder.parameters())
    assert all(p.requires_grad for p in ladd.denoiser.parameters())


def test_encoder_has_the_length_and_width_of_the_latents():
    assert build_encoder(2, blocks().latents["discrete"])(X).shape == (5, 2, 4)
