"""Every pass is charged at the size of the network that made it: sums by hand."""

import pytest
from pydantic import TypeAdapter

from ladd.config import LatentShape
from ladd.config.latents import PriorConfig
from ladd.config.models import SystemConfig
from ladd.systems.base import Passes, SampleCost, Surroundings, System
from tests.builders import network, suite_values

VALUES = suite_values()
TOKENS, VOCABULARY = 8, 7  # with L = 2 latents a joint sequence has 10 positions
SHAPES = {"di": LatentShape(2, 4, 3, True), "co": LatentShape(2, 4, None, True)}  # L, w, K
# layers (12 S d^2 + 2 S^2 d)
BASELINE = 2 * (12 * 8 * 8**2 + 2 * 8**2 * 8)
FULL = 4 * (12 * 10 * 12**2 + 2 * 10**2 * 12)
LATENT_ONLY = 3 * (12 * 2 * 16**2 + 2 * 2**2 * 16)
# A token is drawn once, from d numbers to V logits.
BASELINE_HEAD, FULL_HEAD = 8 * 8 * 7, 8 * 12 * 7


def cost_of(name: str, token_passes: float, latent_passes: float = 0.0) -> SampleCost:
    return made(name).cost(Passes(token_passes, latent_passes))


def made(name: str) -> System:
    values = {**VALUES["baselines"], **VALUES["models"]}[name]
    if name in SHAPES:
        values = values | {"network": network(width=12, layers=4)}
    settings = TypeAdapter(SystemConfig).validate_python(values)
    drawn = VALUES["priors"]["continuous"] | {"network": network(width=16, layers=3)}
    prior = PriorConfig.model_validate(drawn) if name == "co" else None
    return settings.system(settings, Surroundings(VOCABULARY, TOKENS, SHAPES.get(name), prior=prior))


def check(cost: SampleCost, nfe: float, macs: float, heads: float):
    """The count of true operations alone has the heads; it counts two per multiply-add."""
    assert cost.nfe == pytest.approx(nfe)
    assert cost.gmacs == pytest.approx(macs / 1e9)
    assert cost.gflops == pytest.approx(2 * (macs + heads) / 1e9)


def test_masked_diffusion_pays_a_full_pass_each_time():
    check(cost_of("mdlm", token_passes=5.5), 5.5, 5.5 * BASELINE, BASELINE_HEAD)


def test_cached_passes_of_an_autoregressive_model_add_up_to_one():
    check(cost_of("ar", token_passes=8.0), 8, BASELINE, BASELINE_HEAD)


def test_joint_pass_runs_over_tokens_and_codes_and_a_code_is_drawn_once():
    check(cost_of("di", token_passes=6.25), 6.25, 6.25 * FULL, FULL_HEAD + 2 * 12 * 3)


def test_joint_pass_runs_over_tokens_and_latents_and_predicts_all_latents_anew():
    check(cost_of("co", token_passes=6.25), 6.25, 6.25 * FULL, FULL_HEAD + 6.25 * 2 * 12 * 4)


def test_code_passes_cost_the_full_network():
    token_passes = 3.0 + 2.0  # three for tokens and two for codes
    check(cost_of("di", token_passes=token_passes), 5, 5 * FULL, FULL_HEAD + 2 * 12 * 3)


def test_latent_only_passes_cost_their_own_network_over_the_latents():
    cost = cost_of("co", token_passes=3.0, latent_passes=4.0)
    check(cost, 7, 3 * FULL + 4 * LATENT_ONLY, FULL_HEAD + 4 * 2 * 16 * 4)


def nominal(name: str, token_steps: int, latent_steps: int = 0) -> SampleCost:
    return cost_of(name, *made(name).nominal_passes(token_steps, latent_steps))


def test_nominal_cost_has_a_pass_for_every_step():
    # N = 8 tokens in 64 steps: at most 8 of the passes reveal something, and all are charged.
    assert nominal("mdlm", 64).gmacs == pytest.approx(64 * BASELINE / 1e9)
    assert nominal("di", 64).gmacs == pytest.approx(64 * FULL / 1e9)
    assert nominal("co", 64).gmacs == pytest.approx(64 * FULL / 1e9)
    assert nominal("ar", 8).gmacs == pytest.approx(BASELINE / 1e9)


def test_nominal_cost_of_latent_steps_is_that_of_the_network_that_makes_them():
    assert nominal("di", 4, 3).gmacs == pytest.approx((4 + 3) * FULL / 1e9)
    assert nominal("co", 4, 3).gmacs == pytest.approx((4 * FULL + 3 * LATENT_ONLY) / 1e9)
