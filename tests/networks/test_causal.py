"""The autoregressive baseline."""

import pytest
import torch

from ladd.networks import CausalTransformer
from ladd.networks.transformer import KeyValueCache
from tests.builders import network, perturb

X = torch.tensor([[3, 0, 1, 2, 2, 0], [3, 2, 2, 1, 0, 1]])


@pytest.fixture
def model() -> CausalTransformer:
    return perturb(CausalTransformer(3, **network())).eval()


@pytest.mark.parametrize("position", [1, 3, 5])
def test_later_tokens_do_not_change_earlier_hidden_states(model, position):
    changed = X.clone()
    changed[:, position] = (changed[:, position] + 1) % 3
    before, after = model(X), model(changed)
    assert torch.equal(before[:, :position], after[:, :position])
    assert ((before - after)[:, position:].abs().amax(dim=-1) > 1e-6).all()


@pytest.mark.parametrize("chunks", [[1] * 6, [3, 1, 1, 1], [2, 3, 1], [6]], ids=str)
def test_cached_decoding_equals_the_full_forward(model, chunks):
    cache, start, parts = KeyValueCache(), 0, []
    for size in chunks:
        parts.append(model(X[:, start : start + size], cache, start))
        start += size
    torch.testing.assert_close(torch.cat(parts, dim=1), model(X))


def test_cache_holds_every_position_once(model):
    cache = KeyValueCache()
    for start in range(4):
        model(X[:, start : start + 1], cache, start)
    assert sorted(cache.pairs) == [0, 1]
    assert all(k.shape == v.shape == (2, 2, 4, 4) for k, v in cache.pairs.values())


def test_dropout_reaches_the_network():
    model = CausalTransformer(3, **network(dropout=0.2))
    assert [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)] == [0.2, 0.2]
