"""The README's table of parameters is that of the networks of its two suites."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ladd.config import Suite, load_suite
from ladd.systems.base import System

REPOSITORY = Path(__file__).resolve().parents[1]
SUITES = {"sawtooth": "params.yaml", "real English": "suites/text-demo/params.yaml"}
OUTSIDE = ("embedding.", "token_head.", "latent_embedding.", "latent_head.", "latent_mask")  # of a denoiser


def millions(suite: Suite, key: str, *, latent_denoiser: bool = False) -> str:
    """Parameters of the denoiser of a model, and of its latent denoiser where asked for, as the table writes them."""
    with torch.device("meta"):
        model = System.of(suite, key).build()
        network, second = getattr(model, "denoiser", model), getattr(model, "latent_denoiser", None)
    count = sum(each.numel() for name, each in network.named_parameters() if not name.startswith(OUTSIDE))
    if latent_denoiser:
        count += sum(each.numel() for each in second.parameters())
    return f"{count / 1e6:.3f}M"


def table() -> dict[str, list[str]]:
    """Cells by the name of their row."""
    lines = (REPOSITORY / "README.md").read_text().split("| Parameters, without")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("row", SUITES)
def test_parameters_in_the_readme_are_those_of_the_networks(row):
    suite = load_suite(REPOSITORY / SUITES[row])
    assert set(table()) == set(SUITES)
    baselines, di, co, sequential = table()[row]
    found = {"mdlm": baselines, "ar": baselines, "di-ladd": di, "co-ladd": co}
    for key in (*suite.baselines, *suite.models):
        assert millions(suite, key) == found[suite.model(key).family], key
    (second,) = [key for key, model in suite.models.items() if model.latent_denoiser is not None]
    assert millions(suite, second, latent_denoiser=True) == sequential
