"""What every figure must do."""

from __future__ import annotations

PNG = b"\x89PNG\r\n\x1a\n"


def twice(plot, data, other, folder) -> None:
    """Equal data give equal bytes, other data give other bytes, and no half-written file stays."""
    plot(data, folder / "new" / "a.png")
    plot(data, folder / "new" / "b.png")
    plot(other, folder / "new" / "c.png")
    a, b, c = (path.read_bytes() for path in sorted((folder / "new").iterdir()))
    assert a.startswith(PNG)
    assert a == b
    assert a != c
