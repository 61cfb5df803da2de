"""Next-token cross-entropy of the autoregressive baseline."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ladd.networks import CausalTransformer


def autoregressive_loss(network: CausalTransformer, x: Tensor, *, start_id: int) -> Tensor:
    """-log p(x), exact, in nats per sequence: x int64 (B, N) -> (B,)."""
    inputs = F.pad(x[:, :-1], (1, 0), value=start_id)
    logits = network.token_head(network(inputs))
    return F.cross_entropy(logits.transpose(1, 2).float(), x, reduction="none").sum(dim=1)
