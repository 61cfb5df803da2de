"""The teacher that scores generated text."""

from __future__ import annotations

from pathlib import Path

import torch

from ladd.assets import store_folder
from ladd.assets.store import make_once
from ladd.config import Suite, TeacherConfig
from ladd.files import file_hash
from ladd.stages.text import fetch
from ladd.text.teacher import Teacher


def load_teacher(suite: Suite, config: TeacherConfig, device: torch.device) -> Teacher:
    """The teacher; a GGUF file is unpacked once, beside the assets, because reading it takes longer than scoring."""
    path = fetch(suite, config.asset) / config.file
    if path.suffix == ".gguf":
        path = _unpacked(path, store_folder(Path(suite.root)) / "teachers" / file_hash(path))
    return Teacher.load(path, device=device, batch=config.batch, window=config.window)


def _unpacked(path: Path, folder: Path) -> Path:
    """The transformers folder of a GGUF file."""

    def make(scratch: Path) -> Path:
        Teacher.load(path, device="cpu", batch=1, window=1).save(scratch / "teacher")
        return scratch / "teacher"

    return make_once(folder, make)
