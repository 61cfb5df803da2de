"""The settings behind a model or a sweep, for result rows and tracked runs."""

from __future__ import annotations

from typing import Any

from ladd.config import Suite


def describe_model(suite: Suite, key: str) -> dict[str, Any]:
    """Family and latent shape of a baseline or model; L, K and w are None where it has no such thing."""
    model = suite.model(key)
    latents = None if model.latents_name is None else suite.latent_shape(model.latents_name)
    return {
        "family": model.family,
        "L": latents.length if latents else None,
        "K": latents.codebook if latents else None,
        "w": latents.width if latents else None,
    }


def describe_chain(
    suite: Suite,
    *,
    latents: str | None = None,
    prior: str | None = None,
    model: str | None = None,
    sweep: str | None = None,
) -> dict:
    """All settings from the data to the named block, as nested dictionaries."""
    chain: dict[str, Any] = {"seed": suite.seed, "compute": suite.compute.model_dump()}
    if sweep is not None:
        chain["sweep"] = suite.sweeps[sweep].model_dump()
        chain["evaluation"] = suite.evaluation_of(suite.sweeps[sweep].data).model_dump()
        model, prior = suite.sweeps[sweep].model, suite.sweeps[sweep].prior
    if prior is not None:
        chain["prior"] = suite.priors[prior].model_dump()
        latents = suite.priors[prior].latents
    if model is not None:
        config = suite.model(model)
        chain["model"] = config.model_dump()
        latents = config.latents_name
        chain["data"] = suite.data[config.data].model_dump()
    if latents is not None:
        chain["latents"], data = describe_latents(suite, latents)
        chain["data"] = suite.data[data].model_dump()
    return chain


def describe_latents(suite: Suite, key: str) -> tuple[dict[str, Any], str]:
    """Settings behind latents, and the name of their data."""
    found = suite.view_of(key)
    if found is None:
        return suite.latents[key].model_dump(), suite.latents[key].data
    encoder, view = (suite.encoders[found[0]], found[1])
    settings = {"encoder": encoder.model_dump(exclude={"views"}), **encoder.views[view].model_dump()}
    if key in suite.codebooks:
        settings |= suite.codebooks[key].model_dump()
    return settings, encoder.data
