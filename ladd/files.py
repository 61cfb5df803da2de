"""Files: hashes, and writing whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a temporary file beside ``path`` and rename it, so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(partial, 0o644)  # mkstemp makes it private
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write a small readable file."""
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def save_tensors(path: Path, state: dict[str, Tensor]) -> None:
    """Write a state dict as safetensors, which wants contiguous tensors that share no memory."""
    from safetensors.torch import save_file  # it imports torch, which takes seconds

    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}, path)
