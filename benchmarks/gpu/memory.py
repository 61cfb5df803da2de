"""Peak memory of head and loss, forward and backward: ours, dense, and one fused cross-entropy over all positions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from benchmarks.gpu import paper
from benchmarks.gpu.setting import Part, Setting, Values, expect
from benchmarks.speed import loss_memory

SEQUENCES = {"lm1b/mdlm": 64, "lm1b/di-32": 64, "owt/mdlm": 16}


def parts(setting: Setting) -> Iterator[Part]:
    """The heads of some models."""
    for name, batch in SEQUENCES.items():
        yield Part(name, partial(head_and_loss, name, 4 if setting.rehearsal else batch, setting))


def head_and_loss(name: str, batch: int, setting: Setting) -> Values:
    """Megabytes in float32, beyond hidden states, weights and their gradients."""
    system = paper.system(name, small=setting.rehearsal)
    head = nn.Linear(system.settings.network.width, system.vocabulary, device=setting.device)
    ours, dense, fused = (
        found / 1e6
        for found in loss_memory(system.vocabulary, system.tokens, head, batch, torch.device(setting.device))
    )
    values = {
        "sequences": batch,
        "ours, MB": ours,
        "dense, MB": dense,
        "fused, MB": fused,
        "share, %": 100 * ours / dense,
    }
    return expect(values, leaner=("less than dense", setting.rehearsal or ours < dense))
