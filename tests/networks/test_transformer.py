"""Blocks over one or several streams."""

import pytest
import torch
from torch import nn

from ladd.networks.transformer import Transformer, rotary_embedding
from tests.builders import network, perturb


def inputs(streams: int, batch: int = 2, lengths: tuple[int, ...] = (5, 3)):
    """Hidden states, conditions and positions of each stream."""
    lengths = lengths[:streams]
    hidden = [torch.randn(batch, length, 8) for length in lengths]
    return hidden, [torch.randn(batch, 8) for _ in lengths], [torch.arange(float(length)) for length in lengths]


@pytest.mark.parametrize("streams", [1, 2])
def test_blocks_start_as_identities(streams):
    transformer = Transformer(streams, **network())
    hidden, conditions, positions = inputs(streams)
    rotary = [rotary_embedding(p, 4, 1e4) for p in positions]
    for block in transformer.blocks:
        for before, after in zip(hidden, block(hidden, conditions, rotary), strict=True):
            assert torch.equal(before, after)


@pytest.mark.parametrize("streams", [1, 2])
def test_gradients_open_the_blocks(streams):
    transformer = Transformer(streams, **network())
    hidden, conditions, positions = inputs(streams)
    sum(h.pow(3).sum() for h in transformer(hidden, conditions, positions)).backward()
    for block in transformer.blocks:
        for stream in block.streams:
            assert stream.modulation.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("streams", [1, 2])
def test_every_stream_sees_every_other_position(streams):
    transformer = perturb(Transformer(streams, **network()))
    hidden, conditions, positions = inputs(streams)
    before = transformer(hidden, conditions, positions)
    for index in range(streams):
        changed = [h.clone() for h in hidden]
        changed[index][:, 1] += torch.randn(8)  # a constant would vanish in the layer norm
        for old, new in zip(before, transformer(changed, conditions, positions), strict=True):
            assert ((old - new).abs().amax(dim=-1) > 1e-6).all()


def test_causal_positions_see_no_later_ones():
    transformer = perturb(Transformer(1, causal=True, **network()))
    (hidden,), conditions, positions = inputs(1)
    changed = hidden.clone()
    changed[:, 3] += torch.randn(8)
    before = transformer([hidden], conditions, positions)[0]
    after = transformer([changed], conditions, positions)[0]
    assert torch.equal(before[:, :3], after[:, :3])
    assert ((before - after)[:, 3:].abs().amax(dim=-1) > 1e-6).all()


def test_samples_of_a_batch_do_not_mix():
    transformer = perturb(Transformer(2, **network()))
    hidden, conditions, positions = inputs(2, batch=3)
    whole = transformer(hidden, conditions, positions)
    alone = transformer([h[1:2] for h in hidden], [c[1:2] for c in conditions], positions)
    for a, b in zip(whole, alone, strict=True):
        torch.testing.assert_close(a[1:2], b)


def test_one_condition_serves_the_whole_batch():
    transformer = perturb(Transformer(1, **network()))
    hidden, _, positions = inputs(1)
    condition = torch.randn(1, 8)
    shared = transformer(hidden, [condition], positions)[0]
    torch.testing.assert_close(shared, transformer(hidden, [condition.expand(2, 8)], positions)[0])


def test_attention_is_that_of_its_definition():
    transformer = perturb(Transformer(1, **network(layers=1, heads=1)))
    (h,), (c,), (p,) = inputs(1)
    stream, norm = transformer.blocks[0].streams[0], nn.functional.layer_norm
    shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = stream.modulation(nn.functional.silu(c))[:, None].chunk(6, -1)
    q, k, v = stream.qkv(norm(h, (8,)) * (1 + scale_1) + shift_1).chunk(3, dim=-1)
    cos, sin = (p[:, None] * 100 ** (-torch.arange(4) / 4)).cos(), (p[:, None] * 100 ** (-torch.arange(4) / 4)).sin()

    def turn(x):
        return torch.cat([x[..., :4] * cos - x[..., 4:] * sin, x[..., 4:] * cos + x[..., :4] * sin], dim=-1)

    weights = torch.softmax(turn(q) @ turn(k).transpose(1, 2) / 8**0.5, dim=-1)
    expected = h + gate_1 * stream.output(weights @ v)
    expected = expected + gate_2 * stream.mlp(norm(expected, (8,)) * (1 + scale_2) + shift_2)
    rotary = [rotary_embedding(p, 8, 100.0)]
    torch.testing.assert_close(transformer.blocks[0]([h], [c], rotary)[0], expected)


def test_base_of_the_rotary_embedding_is_passed_on():
    transformer = perturb(Transformer(1, **network(rope_base=100.0)))
    arguments = inputs(1)
    before = transformer(*arguments)[0]
    transformer.rope_base = 1e4
    assert not torch.allclose(before, transformer(*arguments)[0], atol=1e-4)


def test_every_dropout_has_the_configured_rate():
    transformer = Transformer(2, **network(dropout=0.37))
    rates = [module.p for module in transformer.modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.37] * 4


def test_dropout_acts_in_training_and_not_in_evaluation():
    transformer = perturb(Transformer(1, **network(dropout=0.5)))
    arguments = inputs(1)
    transformer.train()
    assert not torch.equal(transformer(*arguments)[0], transformer(*arguments)[0])
    transformer.eval()
    assert torch.equal(transformer(*arguments)[0], transformer(*arguments)[0])


@pytest.mark.parametrize("branch", ["attention", "mlp"])
def test_dropout_acts_on_both_branches(branch):
    stream = perturb(Transformer(1, **network(dropout=0.5))).blocks[0].streams[0].train()
    modulation = [torch.ones(1, 1, 8)] * 6
    modulation[5 if branch == "attention" else 2] = torch.zeros(1, 1, 8)
    h, attended = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    assert not torch.equal(stream.update(h, modulation, attended), stream.update(h, modulation, attended))


@pytest.mark.parametrize("streams", [1, 2])
def test_parameter_count_is_that_of_the_formula(streams):
    d, c, layers = 8, 6, 3
    transformer = Transformer(streams, **network(width=d, condition=c, layers=layers))
    weights = 12 * d * d + 6 * d * c
    biases = 3 * d + d + 4 * d + d + 6 * d
    final = 2 * d * c + 2 * d
    count = sum(p.numel() for p in transformer.parameters())
    assert count == streams * (layers * (weights + biases) + final)
