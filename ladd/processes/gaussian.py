"""Gaussian diffusion on continuous latents, z_0-prediction and DDIM (paper, Sections 2.1 and B.1)."""

from __future__ import annotations

from torch import Tensor

from ladd.schedules import GaussianSchedule


def add_noise(z: Tensor, t: Tensor, schedule: GaussianSchedule, noise: Tensor) -> Tensor:
    """z_t = a(t) z_0 + s(t) noise (paper, Eq. 20).

    Args:
        z: (B, L, w), clean.
        t: (B,) in [0, 1].
        schedule: variance-preserving.
        noise: (B, L, w), standard normal.
    """
    t = t[:, None, None]
    return (schedule.signal(t) * z + schedule.noise(t) * noise).to(z.dtype)


def ddim_step(
    z_t: Tensor,
    z_hat: Tensor,
    t: Tensor,
    s: Tensor,
    schedule: GaussianSchedule,
    *,
    eta: float = 0.0,
    noise: Tensor | None = None,
) -> Tensor:
    """One reverse step t -> s (paper, Eqs. 39-41).

    Args:
        z_t: (B, L, w).
        z_hat: (B, L, w), prediction of z_0.
        t, s: scalars, 0 <= s < t <= 1.
        eta: in [0, 1]; 0 is deterministic, 1 the ancestral bridge.
        noise: (B, L, w), standard normal; None where eta is 0.
    """
    a_t, a_s, sigma_t, sigma_s = schedule.signal(t), schedule.signal(s), schedule.noise(t), schedule.noise(s)
    noise_hat = (z_t - a_t * z_hat) / sigma_t
    variance = eta**2 * (sigma_s**2 / sigma_t**2) * (1 - a_t**2 / a_s**2)
    step = a_s * z_hat + (sigma_s**2 - variance).clamp(min=0).sqrt() * noise_hat
    if eta > 0:
        assert noise is not None, "a step with eta > 0 adds noise"
        step = step + variance.sqrt() * noise
    return step.to(z_t.dtype)
