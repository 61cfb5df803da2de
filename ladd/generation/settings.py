"""From a name and a few options to one sweep of one point, the settings that the samplers take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ladd.config import Suite, SweepConfig
from ladd.config.messages import checked
from ladd.config.models import SystemSettings
from ladd.config.relations import fitting_priors, wants_student
from ladd.errors import ConfigError, nearest
from ladd.systems.base import DEFAULT_SAMPLER, System

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
LATENT_STEPS = 16  # of a model alone, where latents come first


def sweep_of(
    suite: Suite,
    name: str,
    options: Mapping[str, Any],
    seed: int,
    own: Mapping[str, Any] | None = None,
    called: Mapping[str, str] = OPTIONS,
) -> SweepConfig:
    """The sweep to sample from: one budget, one seed, no tokens of real sequences given.

    Args:
        name: of a sweep, whose settings are the defaults (the largest of its step budgets); or of a baseline or model,
            with N token steps, the joint schedule where it has latents, and neutral values of all else. A sweep goes
            before a model of the same name; "models.NAME" and the like say which is meant.
        options: settings given instead, by the names in `OPTIONS`.
        own: settings that samplers have besides those in `OPTIONS`, by name; those of a block within have dots in them,
            as "tokens.schedule".
        called: what the options are called where they are given, for messages.
    Raises:
        ConfigError: there is no such name, the family or schedule does not take one of the options, or a value is out
            of the bounds of params.yaml.
    """
    base = _base(suite, name)
    config, tokens = suite.model(base["model"]), suite.data[base["data"]].tokens
    schedule = options.get("schedule", base["schedule"])
    samplers = config.system.samplers(config)
    if schedule not in samplers:
        raise ConfigError(
            f"{called['schedule']} {schedule}: {base['model']!r} is {config.family}; allowed is "
            + " or ".join(map(repr, samplers))
        )
    taken = [key for key in samplers[schedule].options() if key in OPTIONS and key not in config.system.unread]
    allowed = taken if schedule == DEFAULT_SAMPLER else ["schedule", *taken]
    for key in options:
        if key != "schedule" and key not in allowed:
            raise ConfigError(
                f"{called[key]}: {config.family} with schedule {schedule!r} takes no such option; it takes "
                + ", ".join(called[key] for key in allowed)
            )
    steps = options.get("token_steps", max(base["token_steps"]))
    if steps > tokens:
        raise ConfigError(
            f"{called['token_steps']} {steps}: must be at most N = {tokens}, the tokens of data.{base['data']}"
        )
    settings = samplers[schedule].Settings
    values = base | _latent_settings(suite, base, schedule, called) | dict(options)
    values |= {"token_steps": [steps], "frontier": None, "given": None, "seeds": [seed]}
    values = {key: value for key, value in values.items() if key in settings.model_fields}  # of another sampler: gone
    values = _with_own(values, own or {}, settings, schedule, "--set " if called is OPTIONS else "")
    sweep = checked(settings, values, f"the setting of {name}")
    try:
        config.system.check_sweep(config, sweep)
    except ValueError as error:
        raise ConfigError(f"{name}.{error}") from None
    return sweep


def _base(suite: Suite, name: str) -> dict[str, Any]:
    """Settings of a sweep, or those of a model alone: all that is not named here has its neutral default."""
    block, _, key = name.rpartition(".")
    if block in ("", "sweeps") and key in suite.sweeps:
        return suite.sweeps[key].model_dump()
    if not any(block in ("", each) and key in getattr(suite, each) for each in ("baselines", "models")):
        known = [*suite.sweeps, *suite.baselines, *suite.models]
        raise ConfigError(
            f"{name!r} is not in suite {suite.suite!r}{nearest(key, known)}: its sweeps are {sorted(suite.sweeps)}, "
            f"its baselines {sorted(suite.baselines)}, its models {sorted(suite.models)}"
        )
    config = suite.model(key)
    return SweepConfig(
        model=key,
        data=config.data,
        schedule=next(iter(config.system.samplers(config))),
        token_steps=[suite.data[config.data].tokens],
        samples=suite.evaluation_of(config.data).reference.samples,
        seeds=[0],
    ).model_dump()


def _latent_settings(suite: Suite, base: dict[str, Any], schedule: str, called: Mapping[str, str]) -> dict[str, Any]:
    """What belongs to the schedule of the base is of no use to another."""
    if schedule == base["schedule"]:
        return {}
    config = suite.model(base["model"])
    reads = config.system.samplers(config)[schedule].options()
    latent_steps = System.of(suite, base["model"]).latent_steps(LATENT_STEPS) if "latent_steps" in reads else 0
    settings = {"schedule": schedule, "latent_steps": latent_steps, "latent_lead": 1.0, "prior": None}
    if needs_prior(config, schedule):
        if not (priors := fitting_priors(suite, config, schedule)):
            raise ConfigError(
                f"{called['schedule']} {schedule}: it starts with latents {config.latents_name!r}, and the suite has "
                f"no prior of them{' with a teacher' if wants_student(config, schedule) else ''}; add one to `priors`"
            )
        settings["prior"] = priors[0]
    return settings


def needs_prior(config: SystemSettings, schedule: str) -> bool:
    """Whether a sampler draws latents by a prior of vectors; a distilled one can draw no others."""
    return config.system.needs_prior(config, schedule) or wants_student(config, schedule)


def own_settings(settings: type[SweepConfig]) -> list[str]:
    """Names of the settings that a sampler has besides those of every sweep."""
    return sorted(settings.model_fields.keys() - SweepConfig.model_fields.keys())


def _with_own(
    values: dict[str, Any], own: Mapping[str, Any], settings: type[SweepConfig], schedule: str, option: str
) -> dict[str, Any]:
    """Values of a sweep with a sampler's own settings put in; a block within keeps what is not named."""
    for key, value in own.items():
        first, _, rest = key.partition(".")
        if first not in (known := own_settings(settings)):
            takes = f"takes {', '.join(known)}" if known else "has none of its own"
            raise ConfigError(f"{option}{key}: schedule {schedule!r} {takes}")
        if not rest:
            values[first] = value
            continue
        block = values.get(first) or {}
        # Another sampler within has other settings.
        values[first] = ({} if rest == "schedule" and block.get(rest) != value else block) | {rest: value}
    return values
