"""Training losses of the systems, and the task that feeds them."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from ladd.data.shards import Rows, write_array_shards
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import token_loss
from ladd.systems.ar import negative_log_likelihood
from ladd.tasks.sawtooth import draw_sequences
from ladd.training import batches
from ladd.training.batches import TokenTask
from tests.builders import blocks, perturb, stage1, system, untrained


def tokens(name: str, count: int) -> torch.Tensor:
    return torch.from_numpy(draw_sequences(count, 0, name, tokens=8, periods=2, floor=0.01))


TRAIN, VALIDATION = tokens("train", 10), tokens("validation", 6)
INDICES = torch.tensor([3, 1, 4, 7])


def noise() -> SampleNoise:
    return SampleNoise(1, torch.arange(4))


def losses_of(task, step: int = 0, indices: torch.Tensor = INDICES) -> dict[str, torch.Tensor]:
    return task.losses(task.read(indices.numpy()), noise(), step)


def latent_task(kind: str, **changes) -> TokenTask:
    learned = stage1(blocks(), kind, **changes)
    return TokenTask(perturb(learned.build()), learned.losses, TRAIN, VALIDATION, 2)


def token_task(key: str, validation: torch.Tensor = VALIDATION, model=None, **channel) -> TokenTask:
    settings = blocks().baselines[key]
    changes = {"token_channel": settings.token_channel.model_copy(update=channel)} if channel else {}
    made = system(blocks(), key, **changes)
    model = model or perturb(made.build()).eval()
    return TokenTask(model, made.losses, TRAIN, validation, 2, bound=made.validation_bound)


def ladd_task(key: str, count: int = 6, **changes) -> TokenTask:
    model, validation = perturb(untrained(blocks(), key)), tokens("validation", count)
    if model.codebook is not None:
        model.codebook.vectors.normal_()
        stored = [torch.randint(3, (count, 2)) for count in (10, len(validation))]
    else:
        stored = [torch.randn(count, 2, 4) for count in (10, len(validation))]
    made = system(blocks(), key, **changes)
    return TokenTask(model, made.losses, TRAIN, validation, 2, *stored, bound=made.validation_bound)


def test_mdlm_loss_is_in_nats_per_token_of_the_rows_asked_for():
    task, process = token_task("mdlm"), system(blocks(), "mdlm").process
    expected = token_loss(process, task.model, TRAIN[INDICES].long(), noise(), 5).mean() / 8
    torch.testing.assert_close(losses_of(task, 5)["loss"], expected)


@pytest.mark.parametrize("option", [{"weight": "constant"}, {"warp": 2.0}, {"schedule": "cosine"}])
def test_options_of_the_token_channel_reach_the_loss(option):
    plain = token_task("mdlm")
    assert losses_of(token_task("mdlm", model=plain.model, **option))["loss"] != losses_of(plain)["loss"]


def test_ar_loss_is_in_nats_per_token():
    task = token_task("ar")
    expected = negative_log_likelihood(task.model, TRAIN[INDICES].long(), start_id=2).mean() / 8
    torch.testing.assert_close(losses_of(task)["loss"], expected)


@pytest.mark.parametrize("make", [lambda: latent_task("continuous"), lambda: ladd_task("di"), lambda: ladd_task("co")])
def test_validation_has_the_same_noise_every_time(make):
    task = make()
    model = perturb(task.model).eval()
    torch.manual_seed(3)
    first = task.validate(model)
    torch.manual_seed(4)
    assert task.validate(model) == first


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_token_loss_of_stage_1_teaches_the_encoder(kind):
    task = latent_task(kind, latent_noise=[0.0, 0.0])
    losses = losses_of(task)
    losses["token"].backward()
    for parameter in (task.model.encoder.projection.weight, task.model.encoder.trunk.embedding.weight):
        assert parameter.grad.abs().sum() > 0


def test_stage_1_times_fill_the_ranges_of_its_configuration():
    task, seen = latent_task("continuous", token_noise=[0.6, 0.9], latent_noise=[0.1, 0.3]), []
    task.model.denoiser.register_forward_hook(lambda _, given, __: seen.extend(given))
    losses_of(task)
    _, _, t_x, t_z, _ = seen
    assert ((t_x > 0.6) & (t_x < 0.9)).all()
    assert ((t_z > 0.1) & (t_z < 0.3)).all()


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_stage_1_has_no_latent_loss(kind):
    task = latent_task(kind)
    task.model.denoiser.latent_head.forward = None  # calling it would raise
    losses = losses_of(task)
    assert set(losses) == {"loss", "token", "commitment"}


def test_stage_1_loss_is_token_loss_plus_commitment():
    losses = losses_of(latent_task("discrete"))
    assert losses["commitment"] > 0
    torch.testing.assert_close(losses["loss"], losses["token"] + losses["commitment"])


def test_codebook_moves_in_stage_1():
    task = latent_task("discrete")
    task.model.train()
    losses_of(task)
    before = task.model.quantiser.codebook.clone()
    losses_of(task, 1, INDICES + 1)
    assert not torch.equal(task.model.quantiser.codebook, before)


def test_quantiser_starts_at_its_step():
    task = latent_task("discrete", quantise_after=2)
    for step, started in ((0, False), (1, False), (2, True), (3, True)):
        losses_of(task, step)
        assert bool(task.model.quantising) == started


def test_validation_does_not_start_the_quantiser():
    task = latent_task("discrete")
    average = stage1(blocks(), "discrete").build().eval()
    task.validate(average)
    assert not average.quantising
    assert not average.quantiser._codebook.initted


@pytest.mark.parametrize("key", ["di", "co"])
def test_encoder_and_codebook_stand_still_in_stage_2(key):
    task = ladd_task(key)
    task.model.train()
    before = {name: value.clone() for name, value in task.model.state_dict().items()}
    optimiser = torch.optim.AdamW(task.model.parameters(), 0.1, weight_decay=0.5)
    for step in range(3):
        optimiser.zero_grad()
        losses_of(task, step)["loss"].backward()
        optimiser.step()
    after = task.model.state_dict()
    frozen = [name for name in before if name.startswith(("encoder.", "codebook."))]
    assert len(frozen) > 10
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["denoiser.token_head.weight"], after["denoiser.token_head.weight"])


def test_stage_2_never_runs_the_encoder():
    for task in (ladd_task("di"), ladd_task("co")):
        task.model.encoder.forward = None  # calling it would raise
        losses_of(task)
        task.validate(task.model)


@pytest.mark.parametrize("key", ["di", "co"])
def test_stage_2_uses_the_stored_latents_of_its_rows(key):
    task, seen = ladd_task(key), []
    task.model.denoiser.register_forward_hook(lambda _, given, __: seen.append(given))
    losses_of(task)
    x_t, z, *_ = seen[0]
    shown = x_t != 2
    assert torch.equal(x_t[shown], TRAIN[INDICES].long()[shown])
    if key == "di":
        assert torch.equal(z, task.model.codebook.vectors[task.train[1][INDICES]])
    else:
        task.train = (task.train[0], task.train[1] * 0)
        losses_of(task)
        assert not torch.equal(seen[1][1], z)


@pytest.mark.parametrize("key", ["di", "co"])
def test_stage_2_latent_times_fill_their_range_and_token_times_all_of_it(key):
    task, seen = ladd_task(key, latent_noise=[0.1, 0.3]), []
    task.model.denoiser.register_forward_hook(lambda _, given, __: seen.append(given))
    for step in range(8):
        losses_of(task, step)
    t_x, t_z = (torch.cat([given[place] for given in seen]) for place in (2, 3))
    assert 0.1 < t_z.min() < 0.13
    assert 0.27 < t_z.max() < 0.3
    assert t_x.min() < 0.1
    assert t_x.max() > 0.9


def test_validation_uses_the_validation_latents():
    task, seen = ladd_task("di"), []
    average = perturb(untrained(blocks(), "di")).eval()
    average.codebook.vectors.copy_(task.model.codebook.vectors)
    average.denoiser.register_forward_hook(lambda _, given, __: seen.append(given[1]))
    task.validate(average)
    assert torch.equal(seen[0], average.codebook.vectors[task.validation[1]])


@pytest.mark.parametrize("key", ["di", "co"])
def test_stage_2_loss_is_the_weighted_sum_of_its_parts(key):
    losses = losses_of(ladd_task(key, token_weight=0.5, latent_weight=3.0))
    expected = 0.5 * losses["token"] + 3 * losses["latent"]
    torch.testing.assert_close(losses["loss"], expected)
    assert losses.keys() == {"loss", "token", "latent"}
    assert all(value > 0 for value in losses.values())


@pytest.mark.parametrize("key", ["di", "co"])
def test_both_channels_are_learned_in_stage_2(key):
    task = ladd_task(key)
    losses_of(task)["loss"].backward()
    heads = [task.model.denoiser.token_head, task.model.denoiser.latent_head]
    assert all(head.weight.grad.abs().sum() > 0 for head in heads)


@pytest.mark.parametrize("key", ["di", "co"])
@pytest.mark.parametrize("logits", [1, 2 * 8 * 2, 4 * 8 * 2])
def test_validation_in_parts_is_that_of_all_sequences_at_once(key, logits, monkeypatch):
    # 6 sequences of N = 8 and V = 2, at most one, two or four at a time; the times are stratified over all of them.
    task, sizes = ladd_task(key), []
    expected = task.validate(task.model)
    monkeypatch.setattr(batches, "_VALIDATION_LOGITS", logits)
    handle = task.model.denoiser.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    found = task.validate(task.model)
    handle.remove()
    passes = 3 if key == "di" else 1  # its bound takes two more
    parts = {1: [1] * 6, 32: [2] * 3, 64: [3] * 2}[logits]
    assert sizes == [size for size in parts for _ in range(passes)]
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [1, 5, 6])
@pytest.mark.parametrize("logits", [1, 2 * 8 * 2, 2**28])
@pytest.mark.parametrize("world", [2, 4, 8])
def test_validation_on_any_number_of_workers_is_that_of_one(count, logits, world, monkeypatch):
    """Every worker makes as many calls of the model as every other, also where rows are too few for all."""
    task = ladd_task("di")
    task.validation = tuple(part[:count] for part in task.validation)
    monkeypatch.setattr(batches, "_VALIDATION_LOGITS", logits)
    expected, sums, calls = task.validate(task.model), [], []
    handle = task.model.denoiser.register_forward_hook(lambda *_: calls.append(rank))
    monkeypatch.setattr(batches, "world_size", lambda: world)
    monkeypatch.setattr(batches, "sum_over_workers", lambda values: (sums.append(values), values)[1])
    for rank in range(world):
        monkeypatch.setattr(batches, "rank", lambda rank=rank: rank)
        names = list(task.validate(task.model))
    handle.remove()
    assert len({calls.count(rank) for rank in range(world)}) == 1
    found = dict(zip(names, (sum(sums) / count).tolist(), strict=True))
    assert found == pytest.approx(expected, rel=1e-6)


def test_autoregressive_validation_does_not_depend_on_its_parts(monkeypatch):
    task = token_task("ar")
    whole = task.validate(task.model)
    monkeypatch.setattr(batches, "_VALIDATION_LOGITS", 4 * 8 * 2)
    assert task.validate(task.model) == pytest.approx(whole, rel=1e-6)


def test_validation_is_of_sequences_from_all_over_a_large_split(monkeypatch):
    model, large = token_task("ar").model, TRAIN[:10]
    monkeypatch.setattr(batches, "_VALIDATION_SEQUENCES", 4)
    spread = token_task("ar", large[[0, 3, 6, 9]], model).validate(model)
    assert token_task("ar", large, model).validate(model) == spread
    assert token_task("ar", large[:4], model).validate(model) != spread


def on_disk(folder: Path, values: torch.Tensor, dtype: str) -> Rows:
    """The rows of a tensor in shards of four."""
    write_array_shards(folder, [values.numpy()], shape=tuple(values.shape[1:]), dtype=dtype, shard=4)
    return Rows.open(folder, torch.device("cpu"))


@pytest.mark.parametrize(("key", "dtype"), [("di", "int32"), ("co", "float16")])
def test_rows_on_disk_train_as_the_same_rows_in_memory(key, dtype, tmp_path):
    memory = ladd_task(key)
    if key == "co":  # half precision is exact for these
        memory.train, memory.validation = ((x, z.half().float()) for x, z in (memory.train, memory.validation))
    parts = {"train": memory.train, "validation": memory.validation}
    x, z = ({name: part[place] for name, part in parts.items()} for place in (0, 1))
    tokens = [on_disk(tmp_path / f"{name}-x", values, "uint8") for name, values in x.items()]
    latents = [on_disk(tmp_path / f"{name}-z", values, dtype) for name, values in z.items()]
    disk = TokenTask(memory.model, memory.compute, *tokens, 2, *latents, bound=memory.bound)
    assert (disk.size, disk.tokens_per_sequence) == (10, 8)
    for step in range(2):
        a, b = (losses_of(task, step) for task in (memory, disk))
        assert a == b
    assert memory.validate(memory.model) == disk.validate(memory.model)


@pytest.mark.parametrize("weight", ["elbo", "constant"])
def test_bound_of_a_validation_has_the_elbo_weight_whatever_is_minimised(weight):
    model = token_task("mdlm").model
    elbo, found = (token_task("mdlm", model=model, weight=each).validate(model) for each in ("elbo", weight))
    assert found["bound"] == elbo["loss"]
    assert (found["loss"] == found["bound"]) == (weight == "elbo")


def test_bound_of_ar_is_its_loss():
    task = token_task("ar")
    found = task.validate(task.model)
    assert found["bound"] == found["loss"]


def test_bound_of_codes_is_that_of_both_streams_and_continuous_latents_have_none():
    """Heads that know nothing: log V for a token, log K for a code, whatever the times."""
    task = ladd_task("di", count=1000)
    for head in (task.model.denoiser.token_head, task.model.denoiser.latent_head):
        for parameter in head.parameters():
            nn.init.zeros_(parameter)
    expected = math.log(2) + 2 * math.log(3) / 8
    assert task.validate(task.model.eval())["bound"] == pytest.approx(expected, rel=0.05)
    assert task.validate(task.model.eval())["loss"] == pytest.approx(expected, rel=0.05)
    other = ladd_task("co")
    assert "bound" not in other.validate(other.model.eval())
