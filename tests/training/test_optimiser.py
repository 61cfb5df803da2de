"""Which parameters each optimiser takes, at which rates, and what Muon makes of a gradient."""

import pytest
import torch

from ladd.config import TrainingConfig
from ladd.networks.transformer import Stream
from ladd.training.optimiser import Optimiser, block_matrices, rate_share
from tests.builders import blocks, system, training, untrained

MUON = {"kind": "muon", "rate": 0.02, "momentum": 0.9}


def config(**changes) -> TrainingConfig:
    return TrainingConfig.model_validate(training(**changes))


def named(model: torch.nn.Module, chosen: list[torch.nn.Parameter]) -> set[str]:
    ids = {id(p) for p in chosen}
    return {name for name, p in model.named_parameters() if id(p) in ids}


def stepped(model: torch.nn.Module, **changes) -> dict[str, torch.Tensor]:
    """How far one step at the full rate moves each parameter, with gradients drawn from a seed."""
    torch.manual_seed(2)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) if parameter.requires_grad else None
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    Optimiser(model, config(decay="constant", warmup=0, weight_decay=0.0, **changes)).step(0)
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def test_muon_takes_the_matrices_of_blocks_and_adamw_the_rest():
    model = untrained(blocks(), "co")
    optimiser = Optimiser(model, config(optimiser=MUON))
    adamw, muon = (named(model, part.param_groups[0]["params"]) for part in optimiser.parts)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    ends = (".qkv.weight", ".output.weight", ".mlp.0.weight", ".mlp.2.weight")
    assert muon == {name for name in trained if ".streams." in name and name.endswith(ends)}
    assert len(muon) == 4 * sum(isinstance(module, Stream) for module in model.denoiser.modules())
    assert not muon & adamw
    assert muon | adamw == trained  # the frozen encoder has blocks too
    assert named(model, optimiser.parameters) == trained


def test_adamw_takes_all_by_default():
    model = system(blocks(), "mdlm").build()
    optimiser = Optimiser(model, config())
    [adamw] = optimiser.parts
    assert named(model, adamw.param_groups[0]["params"]) == {name for name, _ in model.named_parameters()}
    assert adamw.defaults["betas"] == (0.9, 0.999)
    [other] = Optimiser(model, config(optimiser={"kind": "adamw", "betas": [0.8, 0.98]})).parts
    assert other.defaults["betas"] == (0.8, 0.98)


def test_muon_moves_a_matrix_by_its_rate_in_every_direction_and_leaves_the_rest_to_adamw():
    model, twin = system(blocks(), "mdlm").build(), system(blocks(), "mdlm").build()
    moved, by_adamw = stepped(model, optimiser=MUON, learning_rate=0.01), stepped(twin, learning_rate=0.01)
    matrices = named(model, block_matrices(model))
    for name, change in moved.items():
        if name not in matrices:
            torch.testing.assert_close(change, by_adamw[name])
            continue
        rows, columns = change.shape
        lengths = torch.linalg.svdvals(change) / (0.02 * max(1, rows / columns) ** 0.5)
        # Newton-Schulz with five steps in bfloat16 brings singular values near 1, and not to it; tiny ones stay small.
        assert 0.6 < lengths.median() < 1.3
        assert lengths.max() < 1.4


def test_rates_of_both_follow_the_schedule():
    model = system(blocks(), "mdlm").build()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    chosen = config(optimiser=MUON, learning_rate=0.8, warmup=2, decay="cosine", steps=10)
    optimiser = Optimiser(model, chosen)
    for step in (0, 1, 2, 6, 9):
        optimiser.step(step)
        rates = [part.param_groups[0]["lr"] for part in optimiser.parts]
        assert rates == pytest.approx([rate_share(chosen, step) * rate for rate in (0.8, 0.02)])


@pytest.mark.parametrize(
    ("changes", "shares"),
    [
        ({"warmup": 3, "decay": "constant", "steps": 10}, {0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0, 9: 1.0}),
        ({"warmup": 2, "decay": "cosine", "steps": 10}, {0: 1 / 3, 1: 2 / 3, 2: 1.0, 6: 0.5, 9: 0.0380602}),
        ({"warmup": 1, "decay": "linear", "cooldown": 0.4, "steps": 10}, {0: 0.5, 1: 1.0, 6: 1.0, 7: 0.75, 9: 0.25}),
        ({"warmup": 0, "decay": "linear", "cooldown": 1.0, "steps": 4}, {0: 1.0, 1: 0.75, 3: 0.25}),
    ],
)
def test_shares_of_the_rate_by_step(changes, shares):
    chosen = config(**changes)
    assert {step: rate_share(chosen, step) for step in shares} == pytest.approx(shares, rel=1e-5)


def test_a_run_that_cools_down_later_has_the_same_rates_before():
    """So a budget can be raised without a new beginning."""
    short, long = (config(decay="linear", cooldown=2 / steps, warmup=1, steps=steps) for steps in (10, 20))
    assert [rate_share(short, step) for step in range(8)] == [rate_share(long, step) for step in range(8)]
