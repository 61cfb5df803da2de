"""A suite of several trainings: which entries it has, and what they refer to."""

import pytest

from ladd.config import load_suite
from ladd.config.replicates import replicate_of, without_replicate
from ladd.errors import ConfigError
from tests.builders import suite_values, text_suite_values
from tests.config.checks import write


def load(tmp_path, values: dict, seeds: list[int], replicates: int):
    values["evaluation"]["reference"]["seeds"] = seeds
    for sweep in values["sweeps"].values():
        sweep["seeds"] = seeds
    return load_suite(write(tmp_path, values | {"replicates": replicates}))


def test_every_training_has_entries_that_refer_to_each_other_and_share_data(tmp_path):
    values = suite_values()
    values["data"]["saw"]["reference"] = 60
    suite = load(tmp_path, values, [5, 6, 8], 3)
    plain = suite.written
    for name in ("latents", "priors", "baselines", "models", "sweeps"):
        keys = list(getattr(plain, name))
        assert list(getattr(suite, name)) == [*keys, *(f"{key}_2" for key in keys), *(f"{key}_3" for key in keys)]
    assert suite.models["di_2"].latents == "discrete_2"
    assert suite.sweeps["di-seq_3"].model == "di_3"
    assert {sweep.prior for key, sweep in suite.sweeps.items() if key.endswith("_2")} <= {None, "continuous_2"}
    assert suite.data.keys() == plain.data.keys()
    assert [suite.sweeps[key].seeds for key in ("mdlm", "mdlm_2", "mdlm_3")] == [[5], [6], [8]]
    assert suite.numbered_seeds("mdlm_3") == [(2, 8)]
    assert plain.sweeps["mdlm"].seeds == [5, 6, 8]
    for key, model in suite.models.items():
        assert model.model_dump(exclude={"latents"}) == plain.models[without_replicate(key)].model_dump(
            exclude={"latents"}
        )


def test_frozen_encoders_are_shared(tmp_path):
    suite = load(tmp_path, text_suite_values(), [0, 1], 2)
    assert not any("_" in key for key in suite.encoders)
    assert suite.codebooks["codes_2"].latents == suite.codebooks["codes"].latents
    assert suite.models["di_2"].latents == "codes_2"
    assert suite.view_of("codes_2") == suite.view_of("codes")


def test_one_training_is_the_suite_as_written(tmp_path):
    suite = load(tmp_path, suite_values(), [0, 1], 1)
    assert suite.model_dump() == suite.written.model_dump()


def test_seeds_that_cannot_be_shared_out_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="replicates: 3 trainings do not share out the seeds"):
        load(tmp_path, suite_values(), [0, 1], 3)


@pytest.mark.parametrize(("key", "parts"), [("di", ("di", 1)), ("di-2_12", ("di-2", 12))])
def test_parts_of_a_key(key, parts):
    assert (without_replicate(key), replicate_of(key)) == parts
