"""The training loop: evaluate, save, stop, step, log."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ladd.errors import TrainingError
from ladd.randomness import SampleNoise, derive
from ladd.training.batches import BatchOrder
from ladd.training.checkpoint import Checkpoint
from ladd.training.ema import WeightAverage
from ladd.training.executor import ExecutorContext

if TYPE_CHECKING:
    from ladd.config import TrainingConfig


class Task(Protocol):
    """What is trained."""

    size: int  # training sequences

    @property
    def model(self) -> nn.Module:
        """The networks."""
        ...

    def losses(self, indices: Tensor, noise: SampleNoise, step: int) -> dict[str, Tensor]:
        """Scalar losses of a batch; "loss" is the one that is minimised."""
        ...

    def validate(self, model: Any) -> dict[str, float]:
        """Metrics on validation data of a model of the same class (the averaged weights)."""
        ...


class Trainer:
    """One training run; resumes by itself where the context has a checkpoint.

    Args:
        task: model, data and loss.
        config: steps, optimiser, intervals.
        context: executor.
        seed: all of the run's random numbers follow from it and the step.
    """

    def __init__(self, task: Task, config: TrainingConfig, context: ExecutorContext, *, seed: int):
        self.task, self.config, self.context, self.seed = task, config, context, seed
        self.device = next(task.model.parameters()).device
        self.average = WeightAverage(task.model, config.ema)
        self.parameters = [p for p in task.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.order = BatchOrder(task.size, config.batch, derive(seed, "order"))
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.recent: list[dict[str, Tensor]] = []

    def train(self) -> nn.Module:
        """Train to the last step and return the averaged model; `history` then holds every metric row."""
        config = self.config
        self.resume()
        with tqdm(
            total=config.steps, initial=self.step, desc="training", unit="step", file=sys.stderr, mininterval=1.0
        ) as progress:
            while True:
                if self.step % config.validate_every == 0 or self.step == config.steps:
                    self.validate(progress)
                if (self.step % config.checkpoint_every == 0 and self.step > 0) or self.step == config.steps:
                    self.save()
                if self.step == config.steps:
                    return self.average.model
                self.train_step()
                progress.update()

    def train_step(self) -> None:
        """One optimiser step on one batch."""
        # Only dropout and the quantiser's code revival draw from the global generator; seeding it by the step
        # leaves no state to carry across a resume.
        torch.manual_seed(derive(self.seed, "torch", self.step))
        self.task.model.train()
        indices = torch.from_numpy(self.order.indices(self.step)).to(self.device)
        positions = torch.from_numpy(self.order.positions(self.step)).to(self.device)
        losses = self.task.losses(indices, SampleNoise(derive(self.seed, "noise"), positions), self.step)
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()
        gradient_norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(self.step)
        self.optimiser.step()
        self.average.update(self.task.model)
        self.recent.append({name: value.detach() for name, value in losses.items()} | {"gradient_norm": gradient_norm})
        self.step += 1

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then constant or a cosine to zero."""
        config = self.config
        warm = min(1.0, (step + 1) / (config.warmup + 1))
        if config.decay == "constant":
            return config.learning_rate * warm
        progress = max(0, step - config.warmup) / (config.steps - config.warmup)
        return config.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * progress))

    def validate(self, progress: tqdm) -> None:
        """Add a row of metrics: mean training losses since the last one, and validation of the averaged weights."""
        if self.history and self.history[-1]["step"] == self.step:
            return  # a resumed run already has it
        row: dict[str, float] = {"step": self.step}
        if self.recent:
            row |= {
                f"train/{name}": float(torch.stack([r[name] for r in self.recent]).mean()) for name in self.recent[0]
            }
            row["train/learning_rate"] = self.learning_rate(self.step - 1)
        row |= {f"validation/{name}": value for name, value in self.task.validate(self.average.model).items()}
        if bad := [name for name, value in row.items() if not math.isfinite(value)]:
            raise TrainingError(
                f"{bad[0]} is {row[bad[0]]} at step {self.step}: training stopped, the last checkpoint is kept. "
                f"Lower learning_rate ({self.config.learning_rate}) or clip ({self.config.clip})."
            )
        self.recent = []
        self.history.append(row)
        self.context.report(row)
        progress.set_postfix({k.split("/")[1]: f"{v:.4f}" for k, v in row.items() if k.startswith("validation/")})

    def save(self) -> None:
        """Hand a checkpoint to the context."""
        self.context.save(
            Checkpoint(
                step=self.step,
                model=self.task.model.state_dict(),
                average=self.average.model.state_dict(),
                average_updates=self.average.updates,
                optimiser=self.optimiser.state_dict(),
                history=self.history,
            )
        )

    def resume(self) -> None:
        """Take over the context's latest checkpoint, if there is one."""
        checkpoint = self.context.latest()
        if checkpoint is None:
            return
        if checkpoint.step > self.config.steps:
            raise TrainingError(
                f"the latest checkpoint is at step {checkpoint.step}, beyond steps {self.config.steps}: "
                "raise steps, or remove the checkpoints to train anew"
            )
        self.task.model.load_state_dict(checkpoint.model)
        self.average.model.load_state_dict(checkpoint.average)
        self.average.updates = checkpoint.average_updates
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.step, self.history = checkpoint.step, checkpoint.history
        for row in self.history:
            self.context.report(row)
