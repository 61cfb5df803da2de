"""Sizes of a suite on one's own data: layout, N, V, the splits, and steps for a training of minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal

import numpy as np
import torch

from ladd.config import Suite
from ladd.errors import ConfigError
from ladd.systems.base import System

Layout = Literal["text", "rows"]

SHORT = 64  # characters of a string at the median, at most, where a row is one string
LONGEST_ROW = 128  # N of rows, at most
DROPPED = 0.005  # share of rows, the longest, that N leaves out
LEAST = 8  # N, and samples per seed
BLOCKS = {"character": 128, "bpe": 64, "pretrained": 64}  # N of packed text
SMALLEST_BLOCK = 32
VOCABULARIES = ((300_000, 512), (3_000_000, 1024))  # characters of the data, and V of a BPE up to there
LARGEST_VOCABULARY = 2048
FEW = 2000  # documents, below which a fifth of them is held out, and else a tenth
SEEDS = 2
MOST_SAMPLES = {"text": 64, "rows": 256}  # per seed
# A training step of such a network on one core that is shared: seconds whatever its size, and multiply-adds per second.
OVERHEAD, SPEED = 0.04, 2.5e10
SHARE = 20  # seconds of the longest training for each minute that is asked for: there are four, on two cores
STEPS = (200, 4000)
OF_STAGE_1, OF_MODEL = 0.4, 0.7  # of the steps of a baseline
ROUND = 50  # steps between checkpoints


def guess_layout(texts: Sequence[str], *, whole_files: bool) -> tuple[Layout, str]:
    """Whether documents are packed into blocks, or each is a row, and why.

    Args:
        texts: some documents, or the lines of a file where they are whole files.
        whole_files: whether the documents are files.
    """
    lengths = [len(text) for text in texts]
    middle = median(lengths)
    if whole_files and any(not text.strip() for text in texts):
        return "text", "it has empty lines, as paragraphs have"
    if any("\n" in text.strip() for text in texts):
        return "text", "documents have several lines"
    if middle > SHORT or max(lengths) > 4 * SHORT:
        return "text", f"strings have {middle:.0f} characters at the median, up to {max(lengths)}"
    return "rows", f"strings are short: {middle:.0f} characters at the median, at most {max(lengths)}"


def held_out_share(documents: int) -> float:
    """Of the documents, for validation."""
    return 0.2 if documents < FEW else 0.1


def bpe_vocabulary(characters: int) -> int:
    """V that pairs are merged to."""
    return next((size for most, size in VOCABULARIES if characters <= most), LARGEST_VOCABULARY)


def row_tokens(lengths: Sequence[int]) -> tuple[int, int]:
    """N for strings of these lengths in tokens, and how many are longer.

    Raises:
        ConfigError: strings are too long for rows.
    """
    counted = np.sort(np.array(lengths))
    longest = int(counted[-1])
    wanted = longest if longest <= LONGEST_ROW // 2 else int(counted[int((1 - DROPPED) * (len(counted) - 1))])
    tokens = max(LEAST, -(-wanted // 2) * 2)
    if tokens > LONGEST_ROW:
        raise ConfigError(
            f"--task rows: the strings need N = {tokens} tokens, and a row has at most {LONGEST_ROW}; take --task "
            "text, or shorter strings"
        )
    return tokens, int((counted > tokens).sum())


def block_tokens(kind: str, total: int, share: float) -> int:
    """N for packed text of so many tokens.

    Raises:
        ConfigError: the text is too short.
    """
    tokens = BLOCKS[kind]
    while total * share / tokens < 2 * SEEDS * LEAST * 2 and tokens > SMALLEST_BLOCK:
        tokens //= 2
    check_enough(int(total * share / tokens), share, f"blocks of {tokens} tokens", int(total / tokens))
    return tokens


def samples_of(held_out: int, layout: Layout) -> int:
    """Samples per seed: each seed needs as many real sequences to compare with, and as many for the floor."""
    return min(MOST_SAMPLES[layout], held_out // (2 * SEEDS) // 4 * 4)


def check_enough(held_out: int, share: float, what: str, found: int) -> None:
    """Refuse data without enough to hold out. Raises ConfigError: there is too little."""
    needed = 2 * SEEDS * LEAST
    if held_out < needed:
        raise ConfigError(
            f"--data: too short: {found} {what}, of which {share:.0%} are held out; at least {needed} of these are "
            f"needed, so give about {needed / (share * max(found, 1)):.1f} times as much"
        )


def check_strings(strings: Iterable[str]) -> None:
    """Refuse a single string, of which nothing can be held out. Raises ConfigError."""
    count = sum(1 for string in strings if string.strip())
    if count < 2:
        check_enough(0, held_out_share(count), "string", count)


def training_steps(suite: Suite, minutes: float) -> dict[str, int]:
    """Steps of `baselines`, of `latents` and of `models` for so many minutes on two cores."""
    slowest = max(OVERHEAD + _work(suite, key) / SPEED for key in suite.baselines)
    steps = min(max(SHARE * minutes / slowest, STEPS[0]), STEPS[1])
    parts = {"baselines": steps, "latents": OF_STAGE_1 * steps, "models": OF_MODEL * steps}
    return {block: max(2, round(part / ROUND)) * ROUND for block, part in parts.items()}


def _work(suite: Suite, key: str) -> float:
    """Multiply-adds of a training step: forward, and twice that backward."""
    config = suite.baselines[key]
    with torch.device("meta"):  # without memory
        parameters = sum(each.numel() for each in System.of(suite, key).build().parameters())
    return 3.0 * parameters * suite.data[config.data].tokens * config.training.batch
