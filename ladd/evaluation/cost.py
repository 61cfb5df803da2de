"""What a sample really cost: every network pass, at the size of the network that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ladd.evaluation.flops import backbone_macs

if TYPE_CHECKING:
    from ladd.config import BaselineConfig, LatentsConfig, ModelConfig


class SampleCost(NamedTuple):
    """Averages over samples."""

    nfe: float  # network passes, latent-only ones included
    gmacs: float  # 10^9 multiply-adds of the backbones


def sample_cost(
    model: BaselineConfig | ModelConfig,
    latents: LatentsConfig | None,
    tokens: int,
    *,
    token_passes: float,
    latent_passes: float,
) -> SampleCost:
    """Cost of one sample.

    Args:
        model: what was sampled.
        latents: its Stage 1, or None.
        tokens: N.
        token_passes: mean passes of the network that holds the token stream; sequential Di-LADD's code passes are
            among them, because they run the whole network.
        latent_passes: mean passes of the latent-only denoiser (sequential Co-LADD).
    """
    if model.family == "ar" or model.family == "mdlm":
        network = model.network
        # With a key-value cache the N one-token passes of the autoregressive model add up to one full pass.
        full_passes = 1.0 if model.family == "ar" else token_passes
        return SampleCost(token_passes, full_passes * backbone_macs(tokens, network.width, network.layers) / 1e9)
    assert latents is not None
    network = latents.denoiser
    macs = token_passes * backbone_macs(tokens + latents.length, network.width, network.layers)
    if latent_passes:
        assert model.latent_denoiser is not None
        small = model.latent_denoiser.network
        macs += latent_passes * backbone_macs(latents.length, small.width, small.layers)
    return SampleCost(token_passes + latent_passes, macs / 1e9)
