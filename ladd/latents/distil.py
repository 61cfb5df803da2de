"""Distillation of a prior of continuous latents: a student that says in one pass where the path of its teacher ends.

The path is the teacher's deterministic one (DDIM with eta = 0) on an even grid of T steps. Where it ends is a function
of the latents at any of its times, the consistency function (Song et al., 2023, "Consistency Models"). The student
learns it by squared error from paths that are followed to their end, which takes T/2 passes of the teacher for a
sequence on average, and fewer than T. Nothing is learned from the student's own predictions, as consistency
distillation does to save those passes: priors are small, and such errors would add up along the grid.

`ladd.samplers.sequential_renoised` draws: f(z_1, 1), then a noised copy of it, f of that, and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Step
from ladd.diffusion.times import low_discrepancy_times
from ladd.latents.prior import LatentPrior

if TYPE_CHECKING:
    from ladd.config.latents import StudentConfig


@torch.no_grad()
def path_end(teacher: LatentPrior, z: Tensor, places: Tensor, steps: int) -> Tensor:
    """Where the teacher's paths through some latents end.

    Args:
        teacher: in evaluation mode.
        z: (B, L, w), noisy.
        places: int64 (B,), of 1 to T: z is at the times places / T.
        steps: T.
    Returns:
        (B, L, w).
    """
    z = z.clone()
    times = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64, device=z.device)
    for index in range(steps):
        rows = places >= steps - index
        if rows.any():
            t, now = times[index], z[rows]
            predicted = teacher(now, t.expand(len(now)))
            z[rows] = teacher.process.ddim(now, predicted, Step(index, t, times[index + 1]))
    return z


def drawn_places(uniform: Tensor, steps: int, from_noise: float) -> Tensor:
    """Places on the grid, int64 (B,) of 1 to T: T with probability ``from_noise``, else any, from draws (B,) in (0, 1).

    Args:
        uniform: draws.
        steps: T.
        from_noise: share of those at t = 1 besides the even ones.
    """
    even = ((uniform - from_noise) / max(1 - from_noise, 1e-12) * steps).floor().long() + 1
    return torch.where(uniform < from_noise, steps, even.clamp(1, steps))


def distillation_loss(
    student: LatentPrior, teacher: LatentPrior, z: Tensor, noise: SampleNoise, step: int, config: StudentConfig
) -> Tensor:
    """Squared error of the predicted end of the path, at one time per sequence: z (B, L, w), clean -> (B,)."""
    times = low_discrepancy_times(noise.whole.uniform("student_t", step, 1)[:, 0]).select(noise.rows)
    places = drawn_places(times.t, config.teacher_steps, config.from_noise)
    t = places.double() / config.teacher_steps
    z_t = student.process.corrupt(z, t, StreamNoise(noise, "student", step)).state
    return (student(z_t, t) - path_end(teacher, z_t, places, config.teacher_steps)).square().mean(dim=(1, 2))
