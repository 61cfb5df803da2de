"""Lists as arguments of commands, their items between commas."""

from __future__ import annotations


def names(text: str) -> list[str]:
    """Words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def wholes(text: str) -> list[int]:
    """Whole numbers between commas."""
    return [int(word) for word in names(text)]
