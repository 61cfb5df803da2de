"""The training loop: resumption, intervals, learning rate, failures."""

import copy
import logging
import math

import pytest
import torch
from torch import nn

from ladd.config import TrainingConfig
from ladd.errors import PreemptedError, TrainingError
from ladd.tasks.sawtooth import draw_sequences
from ladd.training import loop
from ladd.training.batches import Batch, TokenTask
from ladd.training.executor import STOP, InlineContext
from ladd.training.loop import Trainer
from ladd.training.optimiser import rate_share
from tests.builders import blocks, executor, stage1, system, training, untrained


class KilledError(Exception):
    """Stands for the end of the process."""


class KillingContext(InlineContext):
    """Dies right after the checkpoint of a step."""

    def __init__(self, folder, step: int):
        super().__init__(folder)
        self.step = step

    def save(self, checkpoint, kept) -> None:
        super().save(checkpoint, kept)
        if checkpoint.step == self.step:
            raise KilledError


class MemoryContext:
    """Keeps what it is handed, and asks to end before the steps ``stops``."""

    def __init__(self, stops=()):
        self.saved, self.rows, self.kept, self.stops = [], [], set(), stops

    def latest(self):
        return None

    def save(self, checkpoint, kept) -> None:
        self.saved.append(copy.deepcopy(checkpoint))
        self.kept = kept

    def stopping(self, step) -> bool:
        return step in self.stops

    def report(self, row) -> None:
        self.rows.append(row)


class Regression:
    """A one-parameter task whose losses can be told to fail."""

    def __init__(self, size: int = 10):
        self.model, self.size, self.seen, self.fail_at = nn.Linear(1, 1, bias=False), size, [], {}
        nn.init.zeros_(self.model.weight)

    def read(self, indices):
        return Batch(torch.from_numpy(indices), None)

    def losses(self, batch, noise, step):
        self.seen.append((step, batch.tokens.tolist(), noise.samples.tolist()))
        if isinstance(failure := self.fail_at.get(step, 0.0), Exception):
            raise failure
        return {"loss": (self.model.weight - 1).square().sum() + failure}

    def validate(self, model):
        return {"loss": (model.weight - 1).square().sum().item()}


def config(**changes) -> TrainingConfig:
    return TrainingConfig.model_validate(training(**changes))


def tokens(name: str, count: int) -> torch.Tensor:
    return torch.from_numpy(draw_sequences(count, 0, name, tokens=8, periods=2, floor=0.01))


def mdlm_task() -> TokenTask:
    made = system(blocks(), "mdlm")
    assert made.settings.network.dropout == 0.1
    return TokenTask(made.build(), made.losses, tokens("train", 10), tokens("validation", 6), 2)


def latent_task(**changes) -> TokenTask:
    learned = stage1(blocks(), "discrete", **changes)
    return TokenTask(learned.build(), learned.losses, tokens("train", 10), tokens("validation", 6), 2)


def discrete_task() -> TokenTask:
    return latent_task()


def late_discrete_task() -> TokenTask:
    """The quantiser starts after the checkpoint."""
    return latent_task(quantise_after=4)


def co_ladd_task() -> TokenTask:
    model = untrained(blocks(), "co")
    generator = torch.Generator().manual_seed(0)
    latents = [2 * nn.functional.normalize(torch.randn(n, 2, 4, generator=generator), dim=-1) for n in (10, 6)]
    losses = system(blocks(), "co").losses
    return TokenTask(model, losses, tokens("train", 10), tokens("validation", 6), 2, *latents)


def trainer(task, context, seed: int = 5, **changes) -> Trainer:
    return Trainer(task, config(**changes), context, seed=seed)


def assert_same(a, b, place: str = "") -> None:
    """Bitwise equality of nested states."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), place
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), place
        for key in a:
            assert_same(a[key], b[key], f"{place}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), place
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{place}/{index}")
    else:
        assert a == b, place


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("make_task", [mdlm_task, discrete_task, late_discrete_task, co_ladd_task])
def test_resumed_run_is_bitwise_the_uninterrupted_one(make_task, optimiser, tmp_path):
    changes = {"optimiser": {"kind": optimiser}}
    torch.manual_seed(1)
    straight = trainer(make_task(), InlineContext(tmp_path / "straight"), **changes)
    straight.train()

    torch.manual_seed(1)
    with pytest.raises(KilledError):
        trainer(make_task(), KillingContext(tmp_path / "broken", step=3), **changes).train()
    torch.manual_seed(99)  # other initial weights and another global generator: all must come from the checkpoint
    resumed = trainer(make_task(), InlineContext(tmp_path / "broken"), **changes)
    resumed.train()

    assert straight.step == resumed.step == 6
    assert_same(straight.task.model.state_dict(), resumed.task.model.state_dict(), "model")
    assert_same(straight.average.model.state_dict(), resumed.average.model.state_dict(), "average")
    assert straight.average.updates == resumed.average.updates == 6
    assert_same(straight.optimiser.state_dict(), resumed.optimiser.state_dict(), "optimiser")
    assert_same(straight.history, resumed.history, "history")
    assert [row["step"] for row in resumed.history] == [0, 3, 6]


@pytest.mark.parametrize("make_task", [mdlm_task, discrete_task])
@pytest.mark.parametrize("stop", [1, 3, 4, 5])
def test_run_that_was_asked_to_end_goes_on_bit_for_bit(make_task, stop, tmp_path):
    torch.manual_seed(1)
    straight = trainer(make_task(), InlineContext(tmp_path / "straight"))
    straight.train()

    torch.manual_seed(1)
    context = InlineContext(tmp_path / "asked")
    context.stopping = lambda step: step == stop
    with pytest.raises(PreemptedError, match=f"step {stop} is saved"):
        trainer(make_task(), context).train()
    resumed = trainer(make_task(), InlineContext(tmp_path / "asked"))
    resumed.train()
    assert_same(straight.average.model.state_dict(), resumed.average.model.state_dict())
    assert straight.history == resumed.history
    assert straight.kept_steps() == resumed.kept_steps() == {3, 6}


def test_a_file_beside_the_checkpoints_asks_to_end(tmp_path):
    (tmp_path / STOP).touch()
    with pytest.raises(PreemptedError, match="step 0"):
        trainer(Regression(), InlineContext(tmp_path)).train()
    assert [path.name for path in tmp_path.iterdir()] == [STOP]  # nothing is worth saving before the first step


@pytest.mark.parametrize("make_task", [mdlm_task, co_ladd_task])
def test_micro_batches_add_up_to_the_batch(make_task):
    found = []
    for micro_batch in (None, 1, 2):
        torch.manual_seed(1)
        task = make_task()
        run = trainer(task, MemoryContext(), executor=executor(micro_batch=micro_batch))
        task.model.eval()  # dropout is drawn per part
        losses = run.backward()
        found.append((losses, {name: p.grad for name, p in task.model.named_parameters() if p.grad is not None}))
    for losses, gradients in found[1:]:
        assert losses.keys() == found[0][0].keys()
        torch.testing.assert_close(list(losses.values()), list(found[0][0].values()))
        torch.testing.assert_close(gradients, found[0][1], rtol=1e-4, atol=1e-5)


def test_checkpoints_are_kept_by_count_and_by_best():
    task, context = Regression(), MemoryContext()
    losses = {3: 0.5, 6: 0.1, 9: 0.7, 12: 0.6, 15: 0.3}
    run = trainer(task, context, steps=15, keep=2)
    task.validate = lambda model: {"loss": losses.get(run.step, 0.0)}  # step 0 has no checkpoint
    run.train()
    assert context.kept == {6, 12, 15}


def test_discrete_run_ends_with_a_codebook_of_its_own(tmp_path):
    straight = trainer(discrete_task(), MemoryContext())
    straight.train()
    assert straight.task.model.quantiser._codebook.initted
    assert straight.average.model.quantiser._codebook.initted


def test_run_depends_on_its_seed_and_not_on_the_global_generator():
    ends = []
    for seed, state in ((5, 1), (5, 2), (6, 1)):
        torch.manual_seed(0)
        task = mdlm_task()
        torch.manual_seed(state)
        run = trainer(task, MemoryContext(), seed=seed)
        ends.append((run.train().state_dict()["token_head.weight"], run.history))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]
    assert not torch.equal(ends[0][0], ends[2][0])


def test_finished_run_is_not_trained_again(tmp_path):
    first = trainer(mdlm_task(), InlineContext(tmp_path))
    weights = first.train().state_dict()
    task = Regression()
    again = trainer(mdlm_task(), InlineContext(tmp_path))
    again.task.losses = task.losses
    assert_same(again.train().state_dict(), weights)
    assert again.history == first.history
    assert task.seen == []


def test_checkpoint_beyond_the_last_step_is_an_error(tmp_path):
    trainer(Regression(), InlineContext(tmp_path)).train()
    task = Regression()
    task.fail_at = {6: AssertionError("went on training")}
    with pytest.raises(TrainingError, match="step 6, beyond steps 3"):
        trainer(task, InlineContext(tmp_path), steps=3).train()


def test_damaged_checkpoint_is_passed_over(tmp_path, caplog):
    straight = trainer(mdlm_task(), InlineContext(tmp_path / "straight"), checkpoint_every=3, steps=9)
    torch.manual_seed(0)
    straight.train()
    model = tmp_path / "straight" / "step-00000009" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:100])
    again = trainer(mdlm_task(), InlineContext(tmp_path / "straight"), checkpoint_every=3, steps=9)
    with caplog.at_level(logging.WARNING):
        again.train()
    assert "step-00000009" in caplog.text
    assert_same(straight.task.model.state_dict(), again.task.model.state_dict())
    assert straight.history == again.history


def test_every_step_sees_its_own_batch_and_noise_streams():
    task = Regression()
    trainer(task, MemoryContext()).train()
    assert [step for step, _, _ in task.seen] == list(range(6))
    assert sorted([i for _, indices, _ in task.seen for i in indices][:10]) == list(range(10))
    assert [i for _, _, samples in task.seen for i in samples] == list(range(24))


def test_every_step_has_dropout_of_its_own():
    states, task = [], Regression()
    losses = task.losses
    task.losses = lambda *given: (states.append(torch.rand(()).item()), losses(*given))[1]
    trainer(task, MemoryContext()).train()
    assert len(set(states)) == 6


def test_first_worker_draws_the_dropout_of_one_and_the_others_their_own(monkeypatch):
    drawn = []
    for rank in (None, 0, 1, 2):
        if rank is not None:
            monkeypatch.setattr(loop, "rank", lambda rank=rank: rank)
        run = trainer(Regression(), MemoryContext())
        run.seed_step()
        drawn.append(torch.rand(()).item())
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_codebook_of_a_step_does_not_depend_on_the_dropout_before_it(monkeypatch):
    """K-means draws alike on two workers whose dropout, which draws before it, does not."""
    torch.manual_seed(1)
    task, codebooks = discrete_task(), []
    z = nn.functional.normalize(torch.randn(8, 2, 4), dim=-1)
    for rank in (0, 1):
        monkeypatch.setattr(loop, "rank", lambda rank=rank: rank)
        run = trainer(copy.deepcopy(task), MemoryContext())
        model = run.task.model.train()
        model.quantising.fill_(True)
        model.encoder.forward = lambda x: z + 0 * torch.nn.functional.dropout(torch.ones(()), 0.5)
        run.seed_step()
        model.encode(torch.zeros(8, 8, dtype=torch.long))
        codebooks.append(model.quantiser.codebook)
    assert torch.equal(*codebooks)


def test_validation_and_checkpoints_come_at_their_intervals_and_at_the_end():
    context = MemoryContext()
    trainer(Regression(), context, steps=7, validate_every=2, checkpoint_every=4).train()
    assert [row["step"] for row in context.rows] == [0, 2, 4, 6, 7]
    assert [checkpoint.step for checkpoint in context.saved] == [4, 7]
    assert [[row["step"] for row in c.history] for c in context.saved] == [[0, 2, 4], [0, 2, 4, 6, 7]]


def test_rows_hold_the_mean_of_the_losses_since_the_last_row():
    task, context = Regression(), MemoryContext()
    task.fail_at = {0: 3.0, 1: 0.0, 2: 0.0}
    trainer(task, context, learning_rate=1e-9, ema=0.0, validate_every=3).train()
    assert "train/loss" not in context.rows[0]
    assert context.rows[1]["train/loss"] == pytest.approx(2.0)
    assert context.rows[2]["train/loss"] == pytest.approx(1.0)
    assert context.rows[1]["validation/loss"] == pytest.approx(1.0)


def test_validation_measures_the_average_and_not_the_current_weights():
    task, context = Regression(), MemoryContext()
    run = trainer(task, context)
    run.train()
    assert context.rows[-1]["validation/loss"] == task.validate(run.average.model)["loss"]
    assert context.rows[-1]["validation/loss"] != task.validate(task.model)["loss"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_loss_names_the_step_and_its_rows_and_keeps_the_last_checkpoint(value):
    task, context = Regression(), MemoryContext()
    task.fail_at = {3: value}
    message = f"train/loss is {value} in step 3, on training rows .*learning_rate"
    with pytest.raises(TrainingError, match=message) as error:
        trainer(task, context, validate_every=2, checkpoint_every=2).train()
    step, rows, _ = task.seen[3]
    assert step == 3
    assert f"rows {', '.join(map(str, rows))}: " in str(error.value)
    assert [checkpoint.step for checkpoint in context.saved] == [2]
    assert [row["step"] for row in context.rows] == [0, 2]


def test_non_finite_gradient_is_not_hidden_by_a_finite_loss():
    task = Regression()
    losses = task.losses
    task.losses = lambda *given: {"loss": losses(*given)["loss"] + (task.model.weight * 0).abs().sqrt().sum()}
    nn.init.zeros_(task.model.weight)
    with pytest.raises(TrainingError, match="train/gradient_norm is nan in step 0"):
        trainer(task, MemoryContext()).train()


def test_exception_in_a_task_propagates():
    task = Regression()
    task.fail_at = {2: RuntimeError("out of memory")}
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer(task, MemoryContext()).train()


def test_optimiser_is_told_the_step_and_rows_have_its_rate():
    steps, context = [], MemoryContext()
    run = trainer(Regression(), context)
    step = run.optimiser.step
    run.optimiser.step = lambda number: (steps.append(number), step(number))
    run.train()
    assert steps == list(range(6))
    rates = [row["train/learning_rate"] for row in context.rows if row["step"]]
    assert rates == [run.config.learning_rate * rate_share(run.config, step - 1) for step in (3, 6)]


def test_gradients_are_clipped():
    task, context = Regression(), MemoryContext()
    given = []
    run = trainer(task, context, clip=0.25)
    step = run.optimiser.step
    run.optimiser.step = lambda number: (given.append(task.model.weight.grad.norm().item()), step(number))
    run.train()
    assert given == pytest.approx([0.25] * 6, rel=1e-3)
    assert context.rows[1]["train/gradient_norm"] > 1.5  # the norm before it was clipped


def test_training_is_in_training_mode():
    modes, task = [], Regression()
    losses = task.losses
    task.losses = lambda *given: (modes.append(task.model.training), losses(*given))[1]
    task.model.eval()
    trainer(task, MemoryContext()).train()
    assert modes == [True] * 6


def test_training_learns():
    task = Regression()
    trainer(task, MemoryContext(), steps=60, learning_rate=0.1, validate_every=60, checkpoint_every=60).train()
    assert task.model.weight.item() == pytest.approx(1, abs=0.1)
