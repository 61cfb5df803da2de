"""Samples are whole: no position is left masked."""

from __future__ import annotations

from torch import Tensor

from ladd.errors import SamplingError


def check_unmasked(tokens: Tensor, mask_id: int, what: str) -> None:
    """Refuse samples that still hold the mask: they would be measured as if it were a token.

    Args:
        tokens: int (n, N), samples.
        mask_id: V.
        what: was sampled, for the message.
    Raises:
        SamplingError: there are some.
    """
    if count := int((tokens == mask_id).any(dim=1).sum()):
        raise SamplingError(
            f"{what}: {count} of {len(tokens)} samples still hold the mask at the end; the time grid does not reach 0: "
            "lower token_lag"
        )
