"""The sentence says what came out, and says so when LADD is not better."""

from __future__ import annotations

import pytest

from ladd.report.lead import lead
from ladd.report.table import summarise

REAL = " Real text: Gen PPL 42.0 ± 1.0, entropy 4.40."


def scaled(rows: list[dict], factor: float = 1.0, entropy: float = 0.0) -> list[dict]:
    """The rows, with Gen PPL of Co-LADD times ``factor`` and its entropy plus ``entropy``."""
    changes = {"gen_ppl": lambda x: factor * x, "entropy_sequence": lambda x: x + entropy}
    return [
        row | {"value": changes[row["metric"]](row["value"])}
        if row["model"] == "co-8" and row["metric"] in changes
        else row
        for row in rows
    ]


@pytest.mark.parametrize(
    ("factor", "entropy", "words"),
    [
        (
            1.0,
            0.0,
            "At 10 backbone GFLOPs per sample, Co-LADD joint (co-8: Gen PPL 800.0 ± 30.4, entropy 4.36) is below MDLM "
            "(mdlm, 1 token step: Gen PPL 1000.0 ± 30.0, entropy 4.40) at equal entropy by 200.0 ± 42.7. In the "
            "few-step half a LADD model is below MDLM at equal entropy by more than 2 standard errors at 2 of 2 "
            "budgets.",
        ),
        (
            1.2,
            0.0,
            "At 10 backbone GFLOPs per sample, Co-LADD joint (co-8: Gen PPL 960.0 ± 36.5, entropy 4.36) is below MDLM "
            "(mdlm, 1 token step: Gen PPL 1000.0 ± 30.0, entropy 4.40) at equal entropy by 40.0 ± 47.2, less than 2 "
            "standard errors, so not clearly. In the few-step half a LADD model is below MDLM at equal entropy by more "
            "than 2 standard errors at 0 of 2 budgets.",
        ),
        (
            1.5,
            0.0,
            "At 10 backbone GFLOPs per sample, no LADD model is below MDLM (mdlm, 1 token step: Gen PPL 1000.0 ± 30.0, "
            "entropy 4.40) at equal entropy; nearest is Co-LADD joint (co-8: Gen PPL 1200.0 ± 45.6, entropy 4.36), "
            "200.0 ± 54.6 higher. In the few-step half a LADD model is below MDLM at equal entropy by more than 2 "
            "standard errors at 0 of 2 budgets.",
        ),
        (
            1.0,
            -1.0,
            "At 10 backbone GFLOPs per sample, no LADD model has the entropy of MDLM (mdlm, 1 token step: Gen PPL "
            "1000.0 ± 30.0, entropy 4.40) within 0.1 nat; lowest is Co-LADD joint (co-8: Gen PPL 800.0 ± 30.4, entropy "
            "3.36). In the few-step half a LADD model is below MDLM at equal entropy by more than 2 standard errors at "
            "0 of 2 budgets.",
        ),
    ],
)
def test_text(text_rows, table, factor, entropy, words):
    assert lead(summarise(table(scaled(text_rows, factor, entropy)))) == words + REAL


def test_without_ladd(text_rows, table):
    baselines = [row for row in text_rows if row["family"] in ("mdlm", "real")]
    assert lead(summarise(table(baselines))) == (
        "With 1 token step, MDLM (mdlm: Gen PPL 1000.0 ± 30.0, entropy 4.40) is lowest." + REAL
    )
