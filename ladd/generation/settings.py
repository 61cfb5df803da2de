"""From a name and a few options to one sweep of one point, the settings that the samplers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ladd.config import ModelConfig, Suite, SweepConfig
from ladd.config.messages import checked
from ladd.config.relations import check_lead
from ladd.errors import ConfigError

# Settings of a sweep that can be given one by one, and their options on the command line.
OPTIONS = {
    "schedule": "--schedule",
    "token_steps": "--steps",
    "latent_steps": "--latent-steps",
    "token_lag": "--token-lag",
    "latent_lead": "--latent-lead",
    "eta": "--eta",
    "temperature": "--temperature",
    "precision": "--precision",
}
BATCH = 64  # samples at a time, of a model alone
LATENT_STEPS = 16  # of a model alone, in the sequential schedule; a code needs no more steps than there are codes


def sweep_of(suite: Suite, name: str, options: Mapping[str, Any], seed: int) -> SweepConfig:
    """The sweep to sample from: one budget, one seed, no tokens of real sequences given.

    Args:
        suite: of the model.
        name: of a sweep, whose settings are the defaults (the largest of its step budgets); or of a baseline or model,
            with N token steps, the joint schedule where it has latents, and neutral values of all else. A sweep goes
            before a model of the same name; "models.NAME" and the like say which is meant.
        options: settings given instead, by the names in `OPTIONS`.
        seed: of the samples.
    Raises:
        ConfigError: there is no such name, the family or schedule does not take one of the options, or a value is out
            of the bounds of params.yaml.
    """
    base = _base(suite, name)
    config, tokens = suite.model(base["model"]), suite.data[base["data"]].tokens
    schedule = options.get("schedule", base["schedule"])
    schedules = _schedules(suite, base["model"])
    if schedule not in schedules:
        raise ConfigError(
            f"--schedule {schedule}: {base['model']!r} is {config.family}; allowed is {_either(schedules)}"
        )
    allowed = _allowed(config.family, schedule)
    for key in options:
        if key != "schedule" and key not in allowed:
            raise ConfigError(
                f"{OPTIONS[key]}: {config.family} with schedule {schedule!r} takes no such option; it takes "
                + ", ".join(OPTIONS[key] for key in allowed)
            )
    steps = options.get("token_steps", max(base["token_steps"]))
    if steps > tokens:
        raise ConfigError(f"--steps {steps}: must be at most N = {tokens}, the tokens of data.{base['data']}")
    values = base | _latent_settings(suite, base, schedule) | dict(options)
    values |= {"token_steps": [steps], "frontier": None, "given": None, "seeds": [seed]}
    sweep = checked(SweepConfig, values, f"the setting of {name}")
    if config.family == "co-ladd":
        try:
            check_lead(name, sweep)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return sweep


def _base(suite: Suite, name: str) -> dict[str, Any]:
    """Settings of a sweep, or those of a model alone."""
    block, _, key = name.rpartition(".")
    if block in ("", "sweeps") and key in suite.sweeps:
        return suite.sweeps[key].model_dump()
    if (block in ("", "baselines") and key in suite.baselines) or (block in ("", "models") and key in suite.models):
        return _alone(suite, key)
    raise ConfigError(
        f"{name!r} is not in suite {suite.suite!r}: its sweeps are {sorted(suite.sweeps)}, its baselines "
        f"{sorted(suite.baselines)}, its models {sorted(suite.models)}"
    )


def _alone(suite: Suite, key: str) -> dict[str, Any]:
    config = suite.model(key)
    reference = suite.evaluation_of(config.data).reference
    return {
        "model": key,
        "data": config.data,
        "schedule": _schedules(suite, key)[0],
        "token_steps": [suite.data[config.data].tokens],
        "latent_steps": 0,
        "token_lag": 1.0,
        "latent_lead": 1.0,
        "eta": 0.0,
        "temperature": 1.0,
        "precision": "float64",
        "samples": reference.samples,
        "batch": BATCH,
    }


def _latent_settings(suite: Suite, base: dict[str, Any], schedule: str) -> dict[str, Any]:
    """What belongs to the schedule of the base is of no use to another."""
    if schedule == base["schedule"]:
        return {}
    config, latent_steps = suite.model(base["model"]), 0
    if schedule == "sequential":
        assert isinstance(config, ModelConfig)
        length = suite.latent_shape(config.latents).length
        latent_steps = min(LATENT_STEPS, length) if config.family == "di-ladd" else LATENT_STEPS
    return {"schedule": schedule, "latent_steps": latent_steps, "latent_lead": 1.0}


def _schedules(suite: Suite, key: str) -> list[str]:
    """The inference schedules of a model, the default first."""
    config = suite.model(key)
    if not isinstance(config, ModelConfig):
        return ["none"]
    sequential = config.family == "di-ladd" or config.latent_denoiser is not None
    return ["joint", "sequential"] if sequential else ["joint"]


def _allowed(family: str, schedule: str) -> list[str]:
    """The options of a family under a schedule; the autoregressive one always takes N steps."""
    allowed = ["temperature", "precision"] if schedule == "none" else ["schedule", "temperature", "precision"]
    if family != "ar":
        allowed += ["token_steps", "token_lag"]
    if family == "co-ladd":
        allowed.append("eta")
    return allowed + {"joint": ["latent_lead"], "sequential": ["latent_steps"], "none": []}[schedule]


def _either(values: list[str]) -> str:
    return " or ".join(map(repr, values))
