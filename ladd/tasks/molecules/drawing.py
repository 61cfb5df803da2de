"""Drawings of molecules."""

from __future__ import annotations

import re
from typing import Any

from ladd.data.chemistry import GAP, brackets_match, molecule, rings_close
from ladd.tasks.pictures import Picture

WIDTH, HEIGHT = 200, 130  # pixels


def drawn(text: str) -> Picture:
    """A drawing of a valid string; of any other the first reason that it is none."""
    found = molecule(text)
    if found is None:
        return Picture("", f"not valid: {reason(text)}", good=False)
    from rdkit.Chem.Draw import rdMolDraw2D

    canvas = rdMolDraw2D.MolDraw2DSVG(WIDTH, HEIGHT)
    options: Any = canvas.drawOptions()  # its stubs say that it has no switches
    options.clearBackground = False
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, found)
    canvas.FinishDrawing()
    svg = canvas.GetDrawingText()
    return Picture(re.sub(r"\s*\n\s*", " ", svg[svg.index("<svg") :]).strip(), "valid", good=True)


def reason(text: str) -> str:
    """Why a string is no molecule."""
    if not text:
        return "empty"
    if GAP in text:
        return "padding inside"
    if not brackets_match(text):
        return "a bracket without partner"
    if not rings_close(text):
        return "a ring that is not closed"
    return "valence, aromaticity or grammar"
