"""How a model is computed: precision, recomputation, compilation."""

import copy
from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ladd.config import ExecutorConfig
from ladd.networks.transformer import Block
from ladd.systems.ladd import LaddModel
from ladd.training import replica
from ladd.training.replica import Replica
from tests.builders import blocks, executor, perturb, system, untrained

X, T = torch.tensor([[0, 1, 2, 2, 1, 0, 2, 1], [2, 2, 2, 0, 1, 1, 0, 2]]), torch.tensor([0.3, 0.7])


def mdlm() -> nn.Module:
    torch.manual_seed(0)
    return perturb(system(blocks(), "mdlm").build()).eval()


def computation(model: nn.Module, **changes) -> Replica:
    compute = lambda x, t: model.token_head(model(x, t)).float().square().mean()  # noqa: E731
    return Replica(model, compute, ExecutorConfig.model_validate(executor(**changes)))


def gradients(model: nn.Module, **changes) -> list[torch.Tensor]:
    loss = computation(model, **changes)(X, T)
    return list(torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True))


class Products(TorchDispatchMode):
    """Types of the matrix products that are made."""

    def __init__(self):
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.types.add(out.dtype)
        return out


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_matrix_products_have_the_precision_asked_for(precision, dtype):
    model = mdlm()
    with Products() as products:
        gradients(model, precision=precision)
    assert products.types == {dtype}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_bfloat16_gives_nearly_the_gradients_of_float32():
    exact, rounded = gradients(mdlm()), gradients(mdlm(), precision="bfloat16")
    for mine, other in zip(rounded, exact, strict=True):
        if mine is not None:
            assert mine.dtype == torch.float32
            torch.testing.assert_close(mine, other, rtol=0.05, atol=0.02 * float(other.abs().max()))


@pytest.mark.parametrize("recompute", [False, True])
def test_recomputation_runs_blocks_twice_and_changes_no_gradient(recompute):
    model, runs = mdlm(), Counter()
    for module in model.modules():
        if isinstance(module, Block):
            module.streams[0].mlp.register_forward_hook(lambda *_: runs.update(["block"]))
    found = gradients(model, recompute=recompute)
    assert runs["block"] == len(model.transformer.blocks) * (2 if recompute else 1)
    for mine, other in zip(found, gradients(mdlm()), strict=True):
        assert (mine is None and other is None) or torch.equal(mine, other)


def test_nothing_is_computed_twice_without_gradients():
    model, runs = mdlm(), Counter()
    model.transformer.blocks[0].streams[0].mlp.register_forward_hook(lambda *_: runs.update(["block"]))
    with torch.no_grad():
        computation(model, recompute=True)(X, T)
    assert runs["block"] == 1


# torch's own, while it traces.
quiet = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture
def compiled(monkeypatch):
    """Traced as by the default compiler and run as it is: that takes seconds less."""
    monkeypatch.setattr(replica, "COMPILER", "eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters
    torch._dynamo.reset()


@quiet
def test_compiled_blocks_change_no_gradient(compiled):
    found = gradients(mdlm(), compile=True)
    assert compiled["stats"]["unique_graphs"] > 0
    for mine, other in zip(found, gradients(mdlm()), strict=True):
        if mine is not None:
            torch.testing.assert_close(mine, other)


@quiet
@pytest.mark.parametrize("changes", [{}, {"precision": "bfloat16"}, {"recompute": True}])
def test_compilation_has_no_graph_breaks_and_ends_with_the_first_steps(compiled, changes):
    model = untrained(blocks(), "co")
    assert isinstance(model, LaddModel)
    average = copy.deepcopy(model).eval()
    z = torch.randn(2, 2, 4)
    replicas = [
        Replica(
            each,
            lambda x, z, t, each=each: sum(out.float().sum() for out in each.denoiser(x, z, t, t)),
            ExecutorConfig.model_validate(executor(compile=True, **changes)),
        )
        for each in (model, average)
    ]

    def rounds() -> None:
        for _ in range(2):
            replicas[0](X, z, T).backward()
        with torch.no_grad():
            for rows in (2, 1):  # validation has batches of its own sizes
                replicas[1](X[:rows], z[:rows], T[:rows])

    rounds()
    graphs = compiled["stats"]["unique_graphs"]
    rounds()
    assert compiled["stats"]["unique_graphs"] == graphs > 0
    assert not compiled["graph_break"]


@quiet
def test_compiled_model_has_the_state_of_a_plain_one(compiled):
    model = mdlm()
    names = list(model.state_dict())
    computation(model, compile=True)(X, T)
    assert list(model.state_dict()) == names


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_default_compiler_gives_the_gradients():
    torch._dynamo.reset()
    for mine, other in zip(gradients(mdlm(), compile=True), gradients(mdlm()), strict=True):
        if mine is not None:
            torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)
