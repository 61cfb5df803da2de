"""Next-token cross-entropy of the autoregressive baseline."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ladd.networks import CausalTransformer
from ladd.objectives.cross_entropy import weighted_cross_entropy


def autoregressive_loss(network: CausalTransformer, x: Tensor, *, start_id: int) -> Tensor:
    """-log p(x), exact, in nats per sequence: x int64 (B, N) -> (B,)."""
    inputs = F.pad(x[:, :-1], (1, 0), value=start_id)
    hidden = network(inputs).flatten(0, 1)
    nll = weighted_cross_entropy(hidden, network.token_head, x.flatten(), hidden.new_ones(len(hidden)))
    return nll.view_as(x).sum(dim=1)
