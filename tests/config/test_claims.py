"""Claims are read from a file of their own or from params.yaml, and refused before anything runs."""

from __future__ import annotations

import pytest
import yaml

from ladd.config import load_suite
from ladd.config.inherit import CLAIMS
from ladd.errors import ConfigError
from ladd.stages.plan import read_plan, renew_plan
from tests.builders import suite_values
from tests.config.checks import write
from tests.stages.tiny import make_suite, tiny_values

GOOD = {"says": "Latents help.", "claim": 'swd("di-seq", 1) < swd("mdlm", 1)'}


def load(folder, claims: dict):
    (folder / CLAIMS).write_text(yaml.safe_dump(claims))
    return load_suite(write(folder, suite_values()))


def test_claims_stand_beside_the_settings(tmp_path):
    suite = load(tmp_path, {"help": GOOD, "paper": {"says": "At size.", "source": "paper", "not_run": "GPUs"}})
    assert suite.claims["help"].source == "this suite"
    assert suite.claims["paper"].claim is None


def test_they_are_no_part_of_the_settings(tmp_path):
    with pytest.raises(ConfigError, match=r"claims: they stand in a file of their own, claims.yaml"):
        load_suite(write(tmp_path, suite_values() | {"claims": {"help": GOOD}}))
    suite = load(tmp_path, {"help": GOOD})
    assert "claims" not in suite.model_dump()


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ('swd("mdlm", 1)', "compares nothing once with < or >"),
        ('0.1 < swd("mdlm", 1) < 0.2', "compares nothing once"),
        ('swd("mdlm", 1) == 0.2', "compares nothing once"),
        ("0.1 < 0.2", "looks nothing up"),
        ('swd("mdlm", 1) <', "is no expression"),
        ('swd("none", 1) < 1', "'none' is neither a sweep"),
        ('swd("mdlm", "1") < 1', "token_steps is '1'"),
        ("swd(mdlm, 1) < 1", "is no quantity; write METRIC"),
        ('swd("mdlm", steps=1) < 1', "is no quantity; write METRIC"),
        ('swd("mdlm", True) < 1', "token_steps is True"),
        ('__import__("os").system("true") < 1', "is no number, no quantity"),
        ('swd("mdlm", 1) ** 2 < 1', "is no number, no quantity"),
        ('swd("mdlm", 1) < 1 / 0', "divides by zero"),
        ('swd("mdlm", 1) > 1e999 - 1e999', "is too large"),
        (f'swd("mdlm", 1) * {"9" * 400} > 1', "is too large"),
        (f'swd("mdlm", {"9" * 23}) < 1', "token_steps must be above 0"),
        ('swd("mdlm", 0) < 1', "token_steps must be above 0"),
        ('swd("mdlm", gflops=-5) < 1', "gflops must be above 0"),
        ('swd("mdlm", 1, temperature=1e999) < 1', "temperature must be above 0"),
        ('swd("mdlm", 3) < 1', "is asked at 3 token steps; the sweep has [1, "),
        ('swd("mdlm", 1, temperature=0.5) < 1', "is asked at temperature 0.5; the sweep has [1.0]"),
        ('swd("mdlm", 1, given="prefix-0.5") < 1', "gives its sampler no tokens"),
        ('swd("mdlm", 1, gflops=2) < 1', "write token steps or gflops, not both"),
        ('swd("mdlm", gflops="2") < 1', "gflops is '2'"),
        ('max(swd("mdlm", 1)) < 1', "is no quantity"),
        ('sqrt(swd("mdlm", 1)) < 1', "is no quantity"),
        ("(lambda: 1)() < 1", "is no number, no quantity"),
    ],
)
def test_what_is_no_claim_is_refused_with_its_key(tmp_path, claim, words):
    with pytest.raises(ConfigError, match=r"claims\.help") as error:
        load(tmp_path, {"help": {"says": "It is so.", "claim": claim}})
    assert words in str(error.value)


def test_a_claim_has_an_expression_or_a_reason(tmp_path):
    for claim in ({"says": "No."}, GOOD | {"not_run": "GPUs"}):
        with pytest.raises(ConfigError, match=r"claims.help: write either claim, an expression, or not_run"):
            load(tmp_path, {"help": claim})


def test_another_claim_runs_the_comparison_alone(tmp_path):
    folder = make_suite(tmp_path, tmp_path / "suites/tiny", tiny_values() | {"root": "../.."})
    before = read_plan(folder)
    (folder / CLAIMS).write_text(yaml.safe_dump({"help": GOOD}))
    renew_plan(folder)
    after = read_plan(folder)
    assert [stage for stage in before if before[stage] != after[stage]] == ["compare"]
