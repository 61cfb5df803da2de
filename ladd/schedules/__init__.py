"""Noise schedules: how much of the clean state is left at time t in [0, 1] (0 is clean, 1 is noise)."""

from ladd.schedules.gaussian import GAUSSIAN_SCHEDULES, GaussianSchedule
from ladd.schedules.masked import MASKED_SCHEDULES, MaskedSchedule

__all__ = ["GAUSSIAN_SCHEDULES", "MASKED_SCHEDULES", "GaussianSchedule", "MaskedSchedule", "latent_schedule"]


def latent_schedule(name: str, *, discrete: bool) -> MaskedSchedule | GaussianSchedule:
    """Schedule of a latent channel; both kinds have one called linear."""
    return MASKED_SCHEDULES[name] if discrete else GAUSSIAN_SCHEDULES[name]
