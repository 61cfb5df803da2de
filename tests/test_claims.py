"""The claims of all suites: where they are, who says them, and that they look up what their suites measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from ladd.config import load_suite
from ladd.config.claims import quantities
from ladd.config.inherit import CLAIMS
from ladd.report.labels import metrics
from ladd.yaml_files import read_yaml

REPOSITORY = Path(__file__).resolve().parents[1]
SUITES = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))]
WITH_CLAIMS = [folder for folder in SUITES if (folder / CLAIMS).is_file()]
LIKELIHOODS = {"token_elbo", "full_bound", "token_loss_clean_latent", "entropy_rate", "val_ppl"}
LIKELIHOODS |= {f"latent_reliance/{name}" for name in ("own", "shuffled", "none")}


def name(folder: Path) -> str:
    return folder.name if folder != REPOSITORY else "root"


@pytest.mark.parametrize("folder", [folder for folder in SUITES if (folder / "results").is_dir()], ids=name)
def test_results_come_with_claims(folder):
    assert read_yaml(folder / CLAIMS)


@pytest.mark.parametrize("folder", WITH_CLAIMS, ids=name)
def test_claims_name_a_source_and_are_of_this_suite(folder):
    suite = load_suite(folder / "params.yaml")  # which holds names of models to its sweeps and references
    assert all("source" in claim for claim in read_yaml(folder / CLAIMS).values())
    said = [claim.says for claim in suite.claims.values()]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize("folder", WITH_CLAIMS, ids=name)
def test_what_claims_look_up_is_measured(folder):
    """So that a claim which is not run waits for a run, and for nothing that no run would give."""
    suite = load_suite(folder / "params.yaml")
    corpora = {corpus for data in suite.data.values() for corpus in getattr(data, "zero_shot", {})}
    known = {metric.name for metric in metrics()} | LIKELIHOODS | {f"zero_shot_ppl/{corpus}" for corpus in corpora}
    for key, claim in suite.claims.items():
        for quantity in quantities(claim.claim) if claim.claim else ():
            sweep = suite.sweeps.get(quantity.model)
            budgets = sweep.token_steps if sweep else getattr(suite.evaluation.reference, "token_steps", ())
            assert quantity.metric in known, key
            assert quantity.token_steps is None or quantity.token_steps in budgets, key
