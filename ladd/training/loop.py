"""The training loop: evaluate, save, stop, step, log; and the average of the weights."""

from __future__ import annotations

import copy
import math
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ladd.diffusion.noise import SampleNoise, derive
from ladd.distributed import local, rank, sum_over_workers, world_size
from ladd.errors import PreemptedError, TrainingError
from ladd.progress import bar
from ladd.training.batches import Batches, BatchOrder, TokenTask
from ladd.training.checkpoint import Checkpoint
from ladd.training.executor import InlineContext
from ladd.training.optimiser import Optimiser, rate_share
from ladd.training.replica import Replica, shard_like, whole_state
from ladd.training.sharded import read_shards

if TYPE_CHECKING:
    from tqdm import tqdm

    from ladd.config import TrainingConfig


class Trainer:
    """One worker of a training run; resumes by itself where the context has a checkpoint.

    Args:
        task: model, data and loss; the same on all workers.
        config: steps, optimiser, intervals, and how a step is divided.
        context: executor.
        seed: all of the run's random numbers follow from it and the step.
    """

    def __init__(self, task: TokenTask, config: TrainingConfig, context: InlineContext, *, seed: int):
        self.task, self.config, self.context, self.seed = task, config, context, seed
        self.device = next(task.model.parameters()).device
        self.average = WeightAverage(task.model, config.ema)
        self.losses = Replica(task.model, task.losses, config.executor)
        self.metrics = Replica(self.average.model, lambda: task.validate(self.average.model), config.executor)
        self.optimiser = Optimiser(task.model, config)
        self.order = BatchOrder(task.size, config.batch, derive(seed, "order"))
        share = config.batch // world_size()
        self.share = slice(rank() * share, (rank() + 1) * share)  # of a batch, that this worker computes
        self.batches = Batches(
            lambda step: task.read(self.order.indices(step)[self.share]), config.steps, ahead=self.device.type != "cpu"
        )
        self.step = self.saved = 0
        self.history: list[dict[str, float]] = []
        self.recent: list[dict[str, float]] = []  # losses of the steps since the last row, means over all workers
        self.own: list[dict[str, Tensor]] = []  # those of this worker that are not in there yet

    def train(self) -> nn.Module:
        """Train to the last step and return the averaged model; `history` then holds every metric row.

        Raises:
            TrainingError: a loss or gradient is not finite; the last checkpoint is kept.
            PreemptedError: the context asked to end; a checkpoint of this step is kept.
        """
        config = self.config
        self.resume()
        with bar("training", config.steps, "step", initial=self.step, hidden=rank() > 0) as progress:
            while True:
                if self.step % config.validate_every == 0 or self.step == config.steps:
                    self.validate(progress)
                if (self.step % config.checkpoint_every == 0 and self.step > 0) or self.step == config.steps:
                    self.save()
                if self.step == config.steps:
                    return self.average.model
                self.stop_if_asked()
                self.train_step()
                progress.update()

    def train_step(self) -> None:
        """One optimiser step on one batch."""
        self.seed_step()
        self.task.model.train()
        self.optimiser.zero_grad()
        losses = self.backward()
        gradient_norm = whole_state(nn.utils.clip_grad_norm_(self.optimiser.parameters, self.config.clip))
        self.optimiser.step(self.step)
        self.average.update(self.task.model)
        self.own.append(losses | {"gradient_norm": gradient_norm.double()})
        self.step += 1

    def seed_step(self) -> None:
        """Seed torch's global generators, which only dropout and the quantiser draw from, by the step.

        So there is no state to carry across a resume. Dropout masks are each worker's own; the quantiser's draws are
        those of all workers.
        """
        seed = derive(self.seed, "torch", self.step)
        torch.manual_seed(derive(seed, "worker", rank()) if rank() else seed)
        for module in self.task.model.modules():
            if (restart := getattr(module, "restart_draws", None)) is not None:
                restart(seed)

    def backward(self) -> dict[str, Tensor]:
        """Gradients of the batch's mean losses, from this worker's share, a part at a time; the share's mean losses."""
        positions = torch.from_numpy(self.order.positions(self.step)).to(self.device)
        noise = SampleNoise(derive(self.seed, "noise"), positions)
        batch, parts = self.batches[self.step], self.parts()
        sums: dict[str, Tensor] = {}
        for rows in parts:
            with self.losses.without_reduction(rows is not parts[-1]):
                losses = self.losses(batch.part(rows), noise.part(_shift(rows, self.share.start)), self.step)
                (losses["loss"] / len(parts)).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach().double() / len(parts)
        return sums

    def parts(self) -> list[slice]:
        """Rows of this worker's share, a micro-batch each."""
        share = self.share.stop - self.share.start
        size = self.config.executor.micro_batch or share
        return [slice(start, start + size) for start in range(0, share, size)]

    def validate(self, progress: tqdm) -> None:
        """Add a row of metrics: mean training losses since the last one, and validation of the averaged weights."""
        if self.history and self.history[-1]["step"] == self.step:
            return  # a resumed run already has it
        row: dict[str, float] = {"step": self.step}
        self.gather_losses()
        if self.recent:
            row |= {f"train/{name}": fmean(losses[name] for losses in self.recent) for name in self.recent[0]}
            row["train/learning_rate"] = self.config.learning_rate * rate_share(self.config, self.step - 1)
        row |= {f"validation/{name}": value for name, value in self.metrics().items()}
        if bad := [name for name, value in row.items() if not math.isfinite(value)]:
            raise TrainingError(f"{bad[0]} is {row[bad[0]]} at step {self.step}: {self.remedy()}")
        self.recent = []
        self.history.append(row)
        self.context.report(row)
        progress.set_postfix({k.split("/")[1]: f"{v:.4f}" for k, v in row.items() if k.startswith("validation/")})

    def gather_losses(self) -> None:
        """Take the means over all workers of the last steps' losses; stop where one is not finite.

        Raises:
            TrainingError: it names the step and the training rows, which may hold the reason.
        """
        if not self.own:
            return
        names = list(self.own[0])
        table = torch.stack([torch.stack([losses[name] for name in names]) for losses in self.own])
        table = sum_over_workers(table) / world_size()
        if not table.isfinite().all():
            row, column = (~table.isfinite()).nonzero()[0].tolist()
            step = self.step - len(self.own) + row
            raise TrainingError(
                f"train/{names[column]} is {float(table[row, column])} in step {step}, on training rows "
                f"{', '.join(map(str, self.order.indices(step)))}: {self.remedy()}"
            )
        self.recent = self.recent + [dict(zip(names, losses, strict=True)) for losses in table.tolist()]
        self.own = []

    def remedy(self) -> str:
        """What is known and what may help, for a training that cannot go on."""
        return (
            f"training stopped, the last checkpoint is kept. Lower learning_rate ({self.config.learning_rate}) or clip "
            f"({self.config.clip}), or look at the data"
        )

    def stop_if_asked(self) -> None:
        """Save and end before this step, where the context says so."""
        if self.context.stopping(self.step):
            self.save()
            raise PreemptedError(f"training was asked to end: step {self.step} is saved, the next run goes on from it")

    def save(self) -> None:
        """Hand a checkpoint to the context."""
        if self.saved == self.step:
            return
        self.gather_losses()
        checkpoint = Checkpoint(
            step=self.step,
            model=self.task.model.state_dict(),
            average=self.average.model.state_dict(),
            average_updates=self.average.updates,
            optimiser=self.optimiser.state_dict(),
            history=self.history,
            recent=self.recent,
        )
        self.context.save(checkpoint, self.kept_steps())
        self.saved = self.step

    def kept_steps(self) -> set[int]:
        """Steps whose averaged weights are kept: of the last checkpoints, and of the best by validation loss."""
        config = self.config
        losses = {int(row["step"]): row["validation/loss"] for row in self.history}
        saved = [s for s in losses if (s % config.checkpoint_every == 0 or s == config.steps) and s > 0]
        return {*saved[-config.keep :], *sorted(saved, key=lambda step: losses[step])[:1]}

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
        read_shards(checkpoint, self.task.model, self.average.model, self.optimiser)
        for model, state in ((self.task.model, checkpoint.model), (self.average.model, checkpoint.average)):
            model.load_state_dict(shard_like(state, dict(model.state_dict())))
        self.average.updates = checkpoint.average_updates
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.step = self.saved = checkpoint.step
        self.history, self.recent = checkpoint.history, checkpoint.recent
        for row in self.history:
            self.context.report(row)


def _shift(rows: slice, by: int) -> slice:
    return slice(rows.start + by, rows.stop + by)


class WeightAverage:
    """Average of a model's parameters; buffers are copied.

    The decay warms up as (1 + n) / (10 + n) after n updates, so that early averages forget the initial weights.

    Args:
        decay: of the average, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averages: list[Tensor] = [local(p) for p in self.model.parameters()]
        torch._foreach_lerp_(averages, [local(p.detach()) for p in model.parameters()], 1 - decay)
        for average, current in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(current)
