"""Samples that still hold the mask are refused: they would be measured as if it were a token."""

import pytest
import torch

from ladd.errors import SamplingError
from ladd.samplers.base import check_unmasked


def test_samples_with_a_mask_are_counted_and_refused():
    tokens = torch.tensor([[0, 1, 1], [2, 0, 1], [2, 2, 0], [1, 1, 0]])
    with pytest.raises(SamplingError, match="di-seq: 2 of 4 samples still hold the mask"):
        check_unmasked(tokens, 2, "di-seq")
    check_unmasked(tokens, 3, "di-seq")
    check_unmasked(tokens[:0], 2, "di-seq")
