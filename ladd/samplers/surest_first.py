"""Adaptive order: in each step the positions are revealed of which the network is surest (Kim et al., 2025; LLaDA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ladd.samplers.order import Ordered


@dataclass(frozen=True, kw_only=True)
class SurestFirst(Ordered):
    """All masked positions compete."""

    citation: ClassVar[str] = """
@inproceedings{kim2025train,
  title = {Train for the Worst, Plan for the Best: Understanding Token Ordering in Masked Diffusions},
  author = {Kim, Jaeyeon and Shah, Kulin and Kontonis, Vasilis and Kakade, Sham and Chen, Sitan},
  booktitle = {International Conference on Machine Learning},
  year = {2025},
  note = {arXiv:2502.06768},
}
"""
    name: ClassVar[str] = "surest-first"
