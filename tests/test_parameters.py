"""The README's table of parameters is that of the networks of its two suites."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ladd.config import Suite, load_suite
from ladd.latents.prior import build_prior
from ladd.systems.base import System

REPOSITORY = Path(__file__).resolve().parents[1]
SUITES = {"sawtooth": "params.yaml", "real English": "suites/text-demo/params.yaml"}
OUTSIDE = ("embedding.", "token_head.", "latent_embedding.", "latent_head.", "latent_mask")  # of a denoiser


def millions(suite: Suite, key: str, prior: str | None = None) -> str:
    """Parameters of the denoiser of a model, and of a prior where one is named, as the table writes them."""
    with torch.device("meta"):
        model = System.of(suite, key).build()
        network = getattr(model, "denoiser", model)
    count = sum(each.numel() for name, each in network.named_parameters() if not name.startswith(OUTSIDE))
    if prior is not None:
        count += sum(
            each.numel()
            for each in build_prior(suite.priors[prior], suite.latent_shape(suite.priors[prior].latents)).parameters()
        )
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
    with_prior = next(sweep for sweep in suite.sweeps.values() if sweep.prior is not None)
    assert millions(suite, with_prior.model, with_prior.prior) == sequential
