"""What a sample cost: every network pass, at the size of the network that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ladd.evaluation.flops import backbone_macs

if TYPE_CHECKING:
    from ladd.config import BaselineConfig, LatentShape, ModelConfig


class SampleCost(NamedTuple):
    """Averages over samples."""

    nfe: float  # network passes, latent-only ones included
    gmacs: float  # 10^9 multiply-adds of the backbones
    gflops: float  # 10^9 floating-point operations, two per multiply-add, of backbones and heads


class Passes(NamedTuple):
    """Network passes per sample; see `sample_cost`."""

    token_passes: float
    latent_passes: float


def nominal_passes(family: str, token_steps: int, latent_steps: int) -> Passes:
    """A pass for every step, as the paper charges them, whether or not it reveals anything.

    Args:
        family: of the model.
        token_steps: K.
        latent_steps: T_z before the tokens (sequential), 0 jointly. Those of Di-LADD run the whole network.
    """
    if family == "di-ladd":
        return Passes(token_steps + latent_steps, 0)
    return Passes(token_steps, latent_steps)


def sample_cost(
    model: BaselineConfig | ModelConfig,
    latents: LatentShape | None,
    tokens: int,
    vocabulary: int,
    *,
    token_passes: float,
    latent_passes: float,
) -> SampleCost:
    """Cost of one sample.

    Args:
        model: what was sampled.
        latents: shape of its latents, or None.
        tokens: N.
        vocabulary: V. The token head runs once per position, where that position is revealed.
        token_passes: mean passes of the network that holds the token stream; sequential Di-LADD's code passes are
            among them, because they run the whole network.
        latent_passes: mean passes of the latent-only denoiser (sequential Co-LADD).
    """
    network = model.network
    heads: float = tokens * network.width * vocabulary
    if model.family == "ar" or model.family == "mdlm":
        # With a key-value cache the N one-token passes of the autoregressive model add up to one full pass.
        full_passes = 1.0 if model.family == "ar" else token_passes
        macs = full_passes * backbone_macs(tokens, network.width, network.layers)
        return SampleCost(token_passes, macs / 1e9, 2 * (macs + heads) / 1e9)
    assert latents is not None
    macs = token_passes * backbone_macs(tokens + latents.length, network.width, network.layers)
    if latent_passes:
        assert model.latent_denoiser is not None
        small = model.latent_denoiser.network
        macs += latent_passes * backbone_macs(latents.length, small.width, small.layers)
        heads += latent_passes * latents.length * small.width * latents.width
    elif latents.codebook is None:  # joint: every pass predicts all latents anew
        heads += token_passes * latents.length * network.width * latents.width
    if latents.codebook is not None:  # a code is drawn once
        heads += latents.length * network.width * latents.codebook
    return SampleCost(token_passes + latent_passes, macs / 1e9, 2 * (macs + heads) / 1e9)
