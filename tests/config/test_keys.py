"""Keys: underscores are allowed, but for names of replicates; an unknown name comes with the nearest."""

from __future__ import annotations

import pytest

from ladd.config import check_suite
from ladd.errors import ConfigError, nearest
from tests.builders import suite_values
from tests.config.checks import changed


def renamed(values: dict, old: str, new: str) -> dict:
    values["baselines"][new] = values["baselines"].pop(old)
    values["sweeps"][old]["model"] = new
    return values


def test_keys_may_have_underscores():
    suite = check_suite(renamed(suite_values(), "mdlm", "mdlm_small"), "test")
    assert suite.sweeps["mdlm"].model == "mdlm_small"


def test_key_of_a_replicate_is_refused():
    with pytest.raises(ConfigError, match=r"baselines\.mdlm_2: replicates end in _ and a number; write mdlm-2"):
        check_suite(renamed(suite_values(), "mdlm", "mdlm_2"), "test")


@pytest.mark.parametrize(
    ("place", "value", "meant"),
    [
        ("sede", 1, "sede: unknown key (did you mean 'seed'?)"),
        ("sweeps.mdlm.temprature", 1.0, "temprature: unknown key (did you mean 'temperature'?)"),
        ("baselines.mdlm.training.step", 1, "step: unknown key (did you mean 'steps'?)"),
        ("baselines.mdlm.family", "mdml", "(did you mean 'mdlm'?)"),
        ("sweeps.mdlm.model", "mdml", "'mdml' is not defined (did you mean 'mdlm'?)"),
        ("sweeps.di-seq.schedule", "sequentail", "(did you mean 'sequential'?)"),
    ],
)
def test_unknown_name_comes_with_the_nearest(place, value, meant):
    with pytest.raises(ConfigError) as caught:
        check_suite(changed(place, value), "test")
    assert meant in str(caught.value)


def test_nothing_near_is_nothing():
    assert nearest("zzz", ["mdlm", "ar"]) == nearest(None, ["mdlm"]) == ""


def test_a_name_is_not_what_was_meant_by_itself():
    assert nearest("start", ["start", "stars"]) == ""
