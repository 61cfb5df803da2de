"""Parts of pages are those of the results, and what is around them stays."""

from __future__ import annotations

import polars as pl
import pytest
import yaml

from ladd.config.inherit import CLAIMS
from ladd.errors import ConfigError
from ladd.report.labels import plain_name, plain_names
from ladd.report.markdown import refreshed
from tests.builders import suite_values
from tests.config.checks import write

PAGE = """# Title

<!-- table of suite: swd -->
stale
<!-- end -->

Prose.

<!-- claims of suite: README -->
<!-- end -->
"""
CLAIM = {"says": "MDLM is better at four steps.", "source": "README", "claim": 'swd("mdlm", 4) < swd("mdlm", 1)'}


@pytest.fixture
def root(rows, table, tmp_path):
    folder = tmp_path / "suite"
    (folder / "results").mkdir(parents=True)
    values = suite_values()
    values["sweeps"]["mdlm"]["token_steps"] = [1, 4]
    write(folder, values)
    (folder / CLAIMS).write_text(yaml.safe_dump({"steps": CLAIM, "other": CLAIM | {"source": "paper"}}))
    table(rows).write_csv(folder / "results/compare.csv")
    return tmp_path


def test_parts_are_written_and_the_rest_stays(root):
    text = refreshed(PAGE, root)
    assert text.splitlines() == [
        *("# Title", "", "<!-- table of suite: swd -->"),
        "| SWD to real data (sliced Wasserstein distance), in thousandths, by token steps | 1 | 4 "
        "| bound on -log p(x), nats per token |",
        "|---|---|---|---|",
        "| Real data | 4.00 ± 1.00 |  | - |",
        "| AR (8 steps) | 6.00 ± 10.00 |  | - |",
        "| MDLM | 120.00 ± 11.55 | 30.00 ± 5.77 | 0.5731 ± 0.0011 |",
        "| Di-LADD, joint | 100.00 ± 10.00 | 20.00 ± 0.00 | 0.5802 ± 0.0012 |",
        "| Di-LADD, sequential, 1 code step | **8.00 ± 1.00** |  | - |",
        *("", "Mean ± standard error over 1 to 3 seeds of n = 100 samples each."),
        "Errors are those of measuring one training; another training may differ by more.",
        "Bold: the best of a column, and what is within 2 standard errors of it.",
        *("<!-- end -->", "", "Prose.", "", "<!-- claims of suite: README -->", "Of 1 claim 1 holds.", ""),
        "- MDLM is better at four steps. *Holds (margin 0.09 ± 0.013, p = 1.6e-12, one training).*",
        "<!-- end -->",
    ]
    assert refreshed(text, root) == text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("swd", "mauve", "there are no results of 'mauve'"),
        ("README", "nobody", r"no claim has the source 'nobody'; it has \['README', 'paper'\]"),
        ("table of suite", "table of other", "is not there; run `dvc repro`"),
    ],
)
def test_what_cannot_be_written_is_refused(root, old, new, words):
    with pytest.raises(ConfigError, match=words):
        refreshed(PAGE.replace(old, new), root)


def test_a_source_is_what_its_own_begins_with(root):
    text = (root / "suite" / CLAIMS).read_text().replace("source: paper", "source: README, table; paper")
    (root / "suite" / CLAIMS).write_text(text)
    assert "Of 2 claims 2 hold." in refreshed(PAGE, root)


def test_a_claim_turned_round_fails_and_changes_the_page(root):
    before = refreshed(PAGE, root)
    (root / "suite" / CLAIMS).write_text(yaml.safe_dump({"steps": CLAIM | {"claim": CLAIM["claim"].replace("<", ">")}}))
    after = refreshed(before, root)
    assert after != before
    assert "Of 1 claim 1 fails." in after


def test_errors_over_trainings_are_said(root, rows, table):
    twice = [*rows, *({**row, "replicate": 2} for row in rows if row["family"] not in ("real", "exact", "oracle"))]
    table(twice).write_csv(root / "suite/results/compare.csv")
    assert "Errors are standard errors over 2 trainings." in refreshed(PAGE, root)


def test_names_without_keys():
    row = {"family": "di-ladd", "model": "x", "schedule": "sequential", "L": 16, "K": 256, "latent_steps": 4}
    assert plain_name(row) == "Di-LADD, sequential, L = 16, K = 256, 4 code steps"
    assert (
        plain_name(row | {"family": "mdlm", "schedule": "none", "L": None, "K": None, "latent_steps": None}) == "MDLM"
    )


def test_a_sampler_with_the_name_of_its_system_is_not_named_again():
    row = {
        "suite": "s",
        "family": "cadd",
        "model": "hard",
        "schedule": "none",
        "L": None,
        "K": None,
        "latent_steps": None,
    }
    soft = row | {"model": "soft", "schedule": "cadd"}
    assert plain_name(soft) == "CADD"
    other = row | {"family": "vadd", "model": "kept", "schedule": "vadd"}
    assert list(plain_names(pl.DataFrame([row, soft, other])).values()) == ["CADD (hard)", "CADD (soft)", "VADD"]
