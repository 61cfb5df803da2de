"""A worker of the tests in test_workers.py: python -m tests.training.workers FOLDER RANK WORLD_SIZE.

All scenarios run in one process group, because its start takes longer than they do. Each leaves FOLDER/NAME-RANK.pt.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ladd.config import LatentsConfig, TrainingConfig
from ladd.distributed import gather_rows, own_rows
from ladd.errors import LaddError
from ladd.object_store import ObjectStore
from ladd.systems.stage1 import LearnedLatents
from ladd.tasks.sawtooth import draw_sequences
from ladd.training.batches import Batch, TokenTask
from ladd.training.checkpoint import Checkpoint, save_checkpoint
from ladd.training.executor import STOP, GroupContext
from ladd.training.loop import Trainer
from ladd.training.replica import whole_state
from ladd.training.stored import StoredCheckpoints, StoredContext
from tests.builders import blocks, executor, network, system, training, untrained

STEPS = 12
MUON = {"kind": "muon", "rate": 0.01}
CPU = torch.device("cpu")


def tokens(name: str, count: int) -> torch.Tensor:
    """Sequences that all differ: equal ones give equal codes, and rounding decides which of two is the nearest."""
    drawn = torch.from_numpy(draw_sequences(40 * count, 0, name, tokens=8, periods=2, floor=0.3))
    return drawn.unique(dim=0)[:count]


def mdlm() -> TokenTask:
    config = blocks().baselines["mdlm"]
    made = system(blocks(), "mdlm", network=config.network.model_copy(update={"dropout": 0.0}))
    return TokenTask(made.build(), made.losses, tokens("train", 40), tokens("validation", 11), 2)


def discrete() -> TokenTask:
    """The quantiser starts in step 6: latents of an untrained encoder are so alike that rounding chooses codes."""
    values = blocks().latents["discrete"].model_dump()
    values |= {"quantise_after": 6, "codebook": 4, "training": training(steps=STEPS)}
    values |= {"encoder": network(), "denoiser": network()}
    learned = LearnedLatents(LatentsConfig.model_validate(values), 2, 8)
    return TokenTask(learned.build(), learned.losses, tokens("train", 40), tokens("validation", 11), 2)


def with_dropout() -> TokenTask:
    task = discrete()
    for module in task.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    return task


def few() -> TokenTask:
    """Fewer validation sequences than workers."""
    task = mdlm()
    task.validation = (task.validation[0][:1], None)
    return task


def co_ladd() -> TokenTask:
    generator = torch.Generator().manual_seed(0)
    latents = [2 * nn.functional.normalize(torch.randn(n, 2, 4, generator=generator), dim=-1) for n in (40, 11)]
    model, losses = untrained(blocks(), "co"), system(blocks(), "co").losses
    task = TokenTask(model, losses, tokens("train", 40), tokens("validation", 11), 2, *latents)
    for module in task.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return task


TASKS = {"mdlm": mdlm, "discrete": discrete, "co-ladd": co_ladd}


def trainer(make, context, **changes) -> Trainer:
    """Weights are the same on every worker."""
    torch.manual_seed(1)
    config = {"steps": STEPS, "batch": 8, "validate_every": 2, "checkpoint_every": 6} | changes
    return Trainer(make(), TrainingConfig.model_validate(training(**config)), context, seed=5)


def context(folder: Path) -> GroupContext:
    return GroupContext(folder, CPU)


def outcome(run: Trainer) -> dict:
    """What the tests compare: curves, weights and optimiser, whole."""
    model, average, optimiser = whole_state(
        (run.task.model.state_dict(), run.average.model.state_dict(), run.optimiser.state_dict())
    )
    return {"history": run.history, "model": model, "average": average, "optimiser": optimiser}


class Poisoned(TokenTask):
    """One row of the data gives a loss that is no number."""

    row = 17

    def read(self, indices):
        return Batch(super().read(indices).tokens, torch.where(torch.from_numpy(indices) == self.row, torch.nan, 1.0))

    def losses(self, batch, noise, step):
        return {"loss": super().losses(batch, noise, step)["loss"] * batch.latents.mean()}


Leave = Callable[[str, object], None]  # keeps a result of this worker under a name


def sharding_and_optimisers(folder: Path, leave: Leave) -> None:
    for name, make in TASKS.items():
        run = trainer(make, context(folder / f"ddp-{name}"), executor=executor(kind="ray", workers=2))
        run.train()
        leave(f"ddp-{name}", outcome(run))

    for name, micro_batch in (("mdlm", None), ("co-ladd", 2)):
        ways = executor(kind="ray", workers=2, sharding="fsdp", micro_batch=micro_batch)
        run = trainer(TASKS[name], context(folder / f"fsdp-{name}"), executor=ways)
        run.train()
        leave(f"fsdp-{name}", outcome(run))

    for sharding in ("ddp", "fsdp"):
        ways = executor(kind="ray", workers=2, sharding=sharding)
        run = trainer(mdlm, context(folder / f"muon-{sharding}"), optimiser=MUON, executor=ways)
        run.train()
        leave(f"muon-{sharding}", outcome(run))


def dropout_few_rows_and_parts(folder: Path, leave: Leave) -> None:
    run = trainer(with_dropout, context(folder / "dropout"), executor=executor(kind="ray", workers=2))
    masks: list[torch.Tensor] = []
    dropout = next(module for module in run.task.model.encoder.modules() if isinstance(module, nn.Dropout))
    dropout.register_forward_hook(lambda _, given, out: masks.append((out == 0).cpu()) if dropout.training else None)
    run.train()
    leave("dropout", {"masks": masks, "model": run.task.model.state_dict(), "history": run.history})

    ways = executor(kind="ray", workers=2, sharding="fsdp")
    leave("few", trainer(few, context(folder / "few"), executor=ways).metrics())

    run = trainer(mdlm, context(folder / "micro"), executor=executor(kind="ray", workers=2, micro_batch=2))
    run.train()
    leave("micro", outcome(run))


def resumed(folder: Path, rank: int, leave: Leave) -> None:
    for sharding in ("ddp", "fsdp"):  # from the checkpoint that one process left
        ways = executor(kind="ray", workers=2, sharding=sharding)
        run = trainer(mdlm, context(folder / f"from-one-{sharding}"), executor=ways)
        run.train()
        leave(f"from-one-{sharding}", outcome(run))

    if rank == 0:
        shutil.copytree(folder / "fsdp-mdlm" / "step-00000006", folder / "from-shards" / "step-00000006")
    torch.distributed.barrier()
    ways = executor(kind="ray", workers=2, sharding="fsdp")
    run = trainer(mdlm, context(folder / "from-shards"), executor=ways)
    run.train()
    leave("from-shards", outcome(run))


def without_a_common_folder(folder: Path, rank: int, leave: Leave) -> None:
    for sharding in ("ddp", "fsdp"):  # two nodes with folders of their own, and then two others
        ways = executor(kind="ray", workers=2, sharding=sharding)
        stored = StoredCheckpoints(ObjectStore(str(folder / "store")), sharding)
        for node in ("first", "second"):
            own = folder / f"{node}-{sharding}-{rank}"
            own.mkdir()
            run = trainer(mdlm, StoredContext(own, CPU, stored), executor=ways)
            run.train()
            leave(f"{node}-{sharding}", outcome(run))
            torch.distributed.barrier()
            if node == "first" and rank == 0:
                stored.withdraw(STEPS)  # as if the first two had been killed before
            torch.distributed.barrier()


def ended_early(folder: Path, rank: int, leave: Leave) -> None:
    def poisoned() -> TokenTask:
        task = mdlm()
        task.__class__ = Poisoned
        return task

    leave("poisoned", error_of(lambda: trainer(poisoned, context(folder / "poisoned")).train()))

    stopped = folder / "stopped"
    stopped.mkdir(exist_ok=True)
    run = trainer(mdlm, context(stopped), steps=40, executor=executor(kind="ray", workers=2))
    if rank == 0:
        (stopped / STOP).touch()
    torch.distributed.barrier()
    run.step = 9  # the workers look at every tenth step
    leave("stopped", error_of(run.train))

    own = folder / f"storage-of-{rank}"  # not shared
    if rank == 0:
        save_checkpoint(own, Checkpoint(3, {}, {}, 0, {}))
    leave("storage", error_of(lambda: context(own).latest()))

    blocked = folder / "blocked"
    if rank == 0:
        blocked.write_text("a file where the folder should be")
    torch.distributed.barrier()
    leave("blocked", error_of(lambda: context(blocked).save(Checkpoint(3, {}, {}, 0, {}), {3})))


def gathered_rows(rank: int, leave: Leave) -> None:
    rows = torch.full((2, 3), float(rank), requires_grad=True)
    gathered = gather_rows(rows)
    own_rows(gathered).sum().backward()
    leave("gathered", {"rows": gathered.detach(), "gradient": rows.grad})


def main(folder: Path, rank: int, world_size: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world_size
    )

    def leave(name: str, result: object) -> None:
        torch.save(result, folder / f"{name}-{rank}.pt")

    sharding_and_optimisers(folder, leave)
    dropout_few_rows_and_parts(folder, leave)
    resumed(folder, rank, leave)
    without_a_common_folder(folder, rank, leave)
    ended_early(folder, rank, leave)
    gathered_rows(rank, leave)
    torch.distributed.destroy_process_group()


def error_of(call) -> str | None:
    try:
        call()
    except LaddError as error:
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
