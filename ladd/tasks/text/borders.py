"""Which document a block of packed text is of: documents are joined with EOS, which no text can spell."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.data.shards import Rows

_BATCH = 4096  # blocks read at a time


def block_documents(rows: Rows, wanted: Tensor, *, packing: str, eos: int) -> Tensor:
    """The document that most tokens of a block are of; the first such one.

    Args:
        rows: all blocks of a corpus, (M, N), as `pack` made them.
        wanted: int64 (n,), which blocks.
        packing: "framed" or "plain".
        eos: id of EOS.
    Returns:
        int64 (n,), the number of each block's document, from 0, in the order of the corpus. Documents without a token
        are not counted.
    """
    body = slice(1, -1) if packing == "framed" else slice(None)
    counts = [
        (rows[start : start + _BATCH][:, body] == eos).sum(dim=1) for start in range(0, int(wanted.max()) + 1, _BATCH)
    ]
    ended = torch.cat(counts)
    before = ended.cumsum(dim=0) - ended
    ends = (rows[wanted][:, body] == eos).long()
    # An EOS is of the document that it ends.
    documents = before[wanted.to(before.device)][:, None] + ends.cumsum(dim=1) - ends
    return documents.mode(dim=1).values
