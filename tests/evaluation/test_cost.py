"""Every pass is charged at the size of the network that made it: sums by hand."""

import pytest

from ladd.config import BaselineConfig, LatentsConfig, ModelConfig
from ladd.evaluation.cost import sample_cost
from tests.builders import network, suite_values

VALUES = suite_values()
TOKENS = 8  # with L = 2 latents a joint sequence has 10 positions
# layers (12 S d^2 + 2 S^2 d)
BASELINE = 2 * (12 * 8 * 8**2 + 2 * 8**2 * 8)
FULL = 4 * (12 * 10 * 12**2 + 2 * 10**2 * 12)
LATENT_ONLY = 3 * (12 * 2 * 16**2 + 2 * 2**2 * 16)


def baseline(name: str) -> BaselineConfig:
    return BaselineConfig.model_validate(VALUES["baselines"][name])


def latents(kind: str) -> LatentsConfig:
    """The denoiser differs in size from the encoder, which costs nothing at sampling."""
    sizes = {"denoiser": network(width=12, layers=4), "encoder": network(width=20)}
    return LatentsConfig.model_validate(VALUES["latents"][kind] | sizes)


def model(name: str) -> ModelConfig:
    values = VALUES["models"][name]
    if name == "co":
        values = values | {"latent_denoiser": {"schedule": "linear", "network": network(width=16, layers=3)}}
    return ModelConfig.model_validate(values)


def check(cost, nfe: float, macs: float):
    assert cost.nfe == pytest.approx(nfe)
    assert cost.gmacs == pytest.approx(macs / 1e9)


def test_masked_diffusion_pays_a_full_pass_each_time():
    cost = sample_cost(baseline("mdlm"), None, TOKENS, token_passes=5.5, latent_passes=0.0)
    check(cost, 5.5, 5.5 * BASELINE)


def test_cached_passes_of_an_autoregressive_model_add_up_to_one():
    cost = sample_cost(baseline("ar"), None, TOKENS, token_passes=8.0, latent_passes=0.0)
    check(cost, 8, BASELINE)


@pytest.mark.parametrize(("name", "kind"), [("di", "discrete"), ("co", "continuous")])
def test_joint_pass_runs_over_tokens_and_latents(name, kind):
    cost = sample_cost(model(name), latents(kind), TOKENS, token_passes=6.25, latent_passes=0.0)
    check(cost, 6.25, 6.25 * FULL)


def test_code_passes_cost_the_full_network():
    token_passes = 3.0 + 2.0  # three for tokens and two for codes
    cost = sample_cost(model("di"), latents("discrete"), TOKENS, token_passes=token_passes, latent_passes=0.0)
    check(cost, 5, 5 * FULL)


def test_latent_only_passes_cost_their_own_network_over_the_latents():
    cost = sample_cost(model("co"), latents("continuous"), TOKENS, token_passes=3.0, latent_passes=4.0)
    check(cost, 7, 3 * FULL + 4 * LATENT_ONLY)
