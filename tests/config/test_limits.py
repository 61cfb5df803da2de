"""Numbers that no study wants, and names that are taken, are errors before anything runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ladd.config import GivenConfig, SweepPoint, check_suite, load_suite
from ladd.errors import ConfigError
from ladd.tasks.sawtooth import Sawtooth
from tests.builders import suite_values, text_suite_values
from tests.config.checks import changed, check_message, write

REPOSITORY = Path(__file__).resolve().parents[2]
TRAINED_SUITES = [
    folder
    for folder in (REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml")))
    if (folder / "results/compare.csv").is_file()
]


def numbers(values: Any, place: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Every number below some values: what holds it, its key there, and its dotted place."""
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        name = f"{place}.{key}".lstrip(".")
        if isinstance(value, dict | list):
            yield from numbers(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield values, key, name


@pytest.mark.parametrize("make", [suite_values, text_suite_values])
def test_every_number_is_finite_and_bounded(make):
    values, looked_at = make(), 0
    for holder, key, place in numbers(values):
        kept = holder[key]
        floats = [math.inf, -math.inf, math.nan, 1e300, -1.0]
        for bad in floats if isinstance(kept, float) else [10**30, -(10**30), -1, 2**63]:
            holder[key] = bad
            with pytest.raises(ConfigError) as caught:
                check_suite(values, place)
            assert place.rpartition(".")[0].rpartition(".")[2] in str(caught.value), (place, bad)
            assert len(str(caught.value)) < 3000, (place, bad)
        holder[key] = kept
        looked_at += 1
    check_suite(values, "as it was")
    assert looked_at > 100


# key that is changed, its bad value, what the message must contain
BAD = [
    ("seed", -1, ["seed: -1", "greater than or equal to 0"]),
    ("seed", 2**63, ["seed: 9223372036854775808", "less than or equal to 9223372036854775807"]),
    ("sweeps.mdlm.seeds", [0, 2**63], ["sweeps.mdlm.seeds.1: 9223372036854775808", "less than or equal to"]),
    ("evaluation.reference.seeds", [-1], ["evaluation.reference.seeds.0: -1", "greater than or equal to 0"]),
    ("sweeps.mdlm.token_lag", math.inf, ["sweeps.mdlm.token_lag: inf", "finite"]),
    ("sweeps.mdlm.token_lag", 101.0, ["sweeps.mdlm.token_lag: 101.0", "less than or equal to 100"]),
    ("sweeps.mdlm.temperature", 1e6, ["sweeps.mdlm.temperature: 1000000.0", "less than or equal to 1000"]),
    ("sweeps.mdlm.temperature", 1e-320, ["sweeps.mdlm.temperature: 1e-320", "greater than or equal to 0.001"]),
    ("baselines.mdlm.token_channel.warp", 1e6, ["token_channel.warp: 1000000.0", "less than or equal to 10"]),
    ("baselines.mdlm.training.learning_rate", 1e-320, ["training.learning_rate: 1e-320", "greater than or equal to"]),
    ("baselines.mdlm.training.clip", 1e-320, ["training.clip: 1e-320", "greater than or equal to 0.001"]),
    ("baselines.mdlm.training.weight_decay", math.nan, ["training.weight_decay: nan", "finite"]),
    ("compute.threads", 10**6, ["compute.threads: 1000000", "less than or equal to 1024"]),
    ("data.saw.train", 1, ["data.saw.train: 1", "greater than or equal to 2"]),
    ("data.saw.validation", 1, ["data.saw.validation: 1", "greater than or equal to 2"]),
    ("evaluation.sequences", 1, ["evaluation.sequences: 1", "greater than or equal to 2"]),
    ("evaluation.directions", 1, ["evaluation.directions: 1", "greater than or equal to 2"]),
    ("suite", "s" * 300, ["suite: 'sss", "at most 100 characters"]),
    ("data." + "d" * 300, suite_values()["data"]["saw"], ["at most 100 characters"]),
    ("root", "a\0b", ["root: 'a\\x00b'", "pattern"]),
    # relations inside one block
    (
        "models.di",
        suite_values()["models"]["di"] | {"token_weight": 0.0, "latent_weight": 0.0},
        ["models.di", "token_weight 0.0 and latent_weight 0.0 leave no loss", "at least 1e-06"],
    ),
    ("models.di.latents_first", 0.9, ["models.di", "latents_first 0.9 leaves less than one sequence", "batch 4"]),
    ("latents.discrete.token_noise", [0.0, 0.0], ["latents.discrete", "token_noise [0.0, 0.0] masks no token"]),
    (
        "baselines.mdlm.training",
        suite_values()["baselines"]["mdlm"]["training"] | {"learning_rate": 0.5, "weight_decay": 2.0},
        ["baselines.mdlm.training", "learning_rate 0.5 x weight_decay 2.0 must be below 1"],
    ),
    # relations between blocks
    (
        "sweeps.co-joint",
        suite_values()["sweeps"]["di-joint"] | {"model": "co", "latent_lead": 100.0},
        ["sweeps.co-joint.latent_lead: 100.0 with token_lag 1.0", "lower latent_lead / token_lag"],
    ),
    (
        "sweeps.di-joint.precision",
        "float32",
        ["sweeps.di-joint.precision: 'float32' must equal that of sweeps.", "'float64'", "a suite of its own"],
    ),
    *(
        (
            f"sweeps.{prefix}-saw",
            suite_values()["sweeps"]["mdlm"],
            [f"sweeps.{prefix}-saw: the name is that of the {prefix} rows of data.saw; rename the sweep"],
        )
        for prefix in ("reference", *Sawtooth.references)
    ),
]


BAD_TEXT = [
    ("data.text.train.encoding", "utf-9", ["data.text.train.encoding", "'utf-9' is no encoding of text", "utf-8"]),
    ("data.text.train.encoding", "base64", ["data.text.train.encoding", "'base64' is no encoding of text"]),
    ("data.text.train.encoding", "undefined", ["data.text.train.encoding", "'undefined' is no encoding of text"]),
    ("data.text.validation", 1e-9, ["data.text.validation", "1e-09", "greater than or equal to"]),
    ("evaluation.sequences", 1, ["evaluation.sequences: 1", "greater than or equal to 2"]),
    ("sweeps.mdlm-prefix.given.share", 1e-9, ["sweeps.mdlm-prefix.given.share: 1e-09 gives 0 of N = 16 tokens"]),
    ("sweeps.mdlm-prefix.given.share", 0.99, ["sweeps.mdlm-prefix.given.share: 0.99 gives 16 of N = 16 tokens"]),
    ("encoders.bert.asset.name", "n" * 501, ["encoders.bert.asset.name: 'nnn", "at most 500 characters"]),
]


@pytest.mark.parametrize(
    ("make", "key", "value", "fragments"),
    [*((suite_values, *each) for each in BAD), *((text_suite_values, *each) for each in BAD_TEXT)],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_nonsense_is_named_with_what_is_allowed(make, key, value, fragments, tmp_path):
    check_message(write(tmp_path, changed(key, value, make())), fragments)


def test_values_at_the_bounds_are_taken():
    values = suite_values()
    values["seed"] = 2**63 - 1
    values["sweeps"]["mdlm"] |= {"token_lag": 100.0, "temperature": 1e-3}
    values["sweeps"]["di-joint"] |= {"latent_lead": 100.0, "temperature": 1000}
    values["models"]["co"] |= {"token_weight": 0.0, "latent_weight": 1e-6}
    for encoding in ("latin-1", "cp1252", "utf-8-sig", "UTF8"):
        text = changed("data.text.train.encoding", encoding, text_suite_values())
        assert check_suite(text, "").data["text"].train.encoding == encoding
    assert check_suite(values, "").sweeps["mdlm"].token_lag == 100.0


def test_points_have_names_of_their_own():
    temperatures = [1.0, 1.0000001, 0.1234567, 0.1234568, 0.1, 0.30000000000000004, 1e-3, 1000.0]
    names = {SweepPoint(token_steps=4, temperature=temperature).name for temperature in temperatures}
    assert len(names) == len(temperatures)
    assert {"steps-4-temperature-1", "steps-4-temperature-0.1", "steps-4-temperature-0.1234567"} <= names
    shares = [GivenConfig(kind="prefix", share=share).name for share in (0.25, 0.2500001)]
    assert shares == ["prefix-0.25", "prefix-0.2500001"]


@pytest.mark.parametrize("folder", TRAINED_SUITES, ids=lambda folder: folder.name)
def test_rows_that_are_of_no_sweep_have_reserved_names(folder):
    suite = load_suite(folder / "params.yaml")
    with (folder / "results/compare.csv").open(newline="") as file:
        names = {row["model"] for row in csv.DictReader(file)}
    reserved = {
        f"{prefix}-{key}" for key, data in suite.data.items() for prefix in ("reference", *data.task.references)
    }
    assert names - suite.sweeps.keys()
    assert names - suite.sweeps.keys() <= reserved
