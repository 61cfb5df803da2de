"""distil@P: train a prior of continuous latents that needs few passes, from one that is trained."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ladd.config.latents import StudentConfig
from ladd.diffusion.noise import SampleNoise
from ladd.files import WEIGHTS
from ladd.latents.distil import distillation_loss
from ladd.latents.prior import LatentPrior, build_prior
from ladd.stages.artifacts import load_latents, load_weights, save_weights, use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, seed_weights, train_stage
from ladd.training.batches import TokenTask


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """The student, which starts from its teacher where both have the same network; the latents and the loss."""
    suite, config = stage.suite, stage.suite.priors[stage.key]
    assert isinstance(config, StudentConfig)
    of_teacher, shape, device = (
        suite.priors[config.teacher],
        suite.latent_shape(config.latents),
        use_device(suite.compute),
    )
    folder = Path(f"artifacts/latents/{config.latents}")
    train, validation = (load_latents(folder, split, device) for split in ("train", "validation"))
    teacher = build_prior(of_teacher, shape).requires_grad_(False)
    load_weights(teacher, Path(f"artifacts/priors/{config.teacher}") / WEIGHTS)
    seed_weights(stage)
    student = build_prior(config, shape)
    if config.network == of_teacher.network:
        student.load_state_dict(teacher.state_dict())
    compute = partial(losses, teacher.eval().to(device), config)
    task = TokenTask(student.to(device), compute, train, validation, vocabulary=1)
    return Training(task, config.training, f"artifacts/priors/{stage.key}", save_weights)


def losses(
    teacher: LatentPrior,
    config: StudentConfig,
    model: Any,
    z: Tensor,
    _: Tensor | None,
    noise: SampleNoise,
    step: int,
) -> dict[str, Tensor]:
    """Of clean latents z (B, L, w), in half precision where a pretrained encoder made them."""
    return {"loss": distillation_loss(model, teacher, z.float(), noise, step, config).mean()}


if __name__ == "__main__":
    run_stage("distil", main)
