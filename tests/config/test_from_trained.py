"""Priors with a teacher and models with a start: what they may name, and which sweeps want which prior."""

import pytest

from ladd.config.latents import PriorConfig, StudentConfig
from ladd.config.replicates import replicated
from ladd.config.suite import check_suite
from ladd.errors import ConfigError
from ladd.stages.planned import keys_of, stages_in_order
from tests.builders import suite_values
from tests.config.checks import changed


def values() -> dict:
    """A suite with a student, and a model that starts from a baseline."""
    found = suite_values()
    found["priors"]["few"] = found["priors"]["continuous"] | {"teacher": "continuous"}
    channel = {"schedule": "sqrt", "times": "independent", "dropout": 0.0}
    network = found["baselines"]["mdlm"]["network"]
    adapted = {"family": "diladiff", "start": "mdlm", "latents": "continuous", "data": "saw", "network": network}
    found["models"]["adapted"] = adapted | {"latent_channel": channel, "training": found["models"]["co"]["training"]}
    few = {"schedule": "sequential-renoised", "prior": "few"}
    found["sweeps"] |= {"co-few": found["sweeps"]["co-seq"] | few}
    found["sweeps"] |= {"adapted": found["sweeps"]["co-seq"] | {"model": "adapted"}}
    return found


def test_kinds_of_priors_and_the_stages_that_train_them():
    suite = check_suite(values(), "params.yaml")
    kinds = {key: type(prior) for key, prior in suite.priors.items()}
    assert kinds == {"continuous": PriorConfig, "few": StudentConfig}
    stages = list(stages_in_order(values()))
    assert stages == list(stages_in_order(vars(suite)))
    assert stages.index(("prior", "continuous")) < stages.index(("distil", "few"))
    assert stages.index(("baseline", "mdlm")) < stages.index(("adapt", "adapted"))
    assert ("stage2", "adapted") not in stages
    assert "teacher" not in suite.priors["continuous"].model_dump()


def test_replicates_have_teachers_and_starts_of_their_own():
    suite = replicated(check_suite(values() | {"replicates": 2}, "params.yaml"))
    assert suite.priors["few_2"].teacher == "continuous_2"
    assert suite.models["adapted_2"].start == "mdlm_2"
    assert keys_of(suite, "distil") == ["few", "few_2"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("priors.few.teacher", "nobody", r"priors\.few\.teacher: 'nobody' is not defined"),
        ("priors.few.teacher", "few", r"priors\.few\.teacher: 'few' is distilled itself"),
        ("priors.few.schedule", "cosine", r"priors\.few\.schedule: 'cosine' must be that of its teacher, 'linear'"),
        ("sweeps.co-few.prior", "continuous", r"sweeps\.co-few\.prior: 'continuous' has no teacher.*\['few'\]"),
        ("sweeps.co-seq.prior", "few", r"sweeps\.co-seq\.prior: 'few' has a teacher.*\['continuous'\]"),
        ("sweeps.co-few.eta", 0.5, r"sweeps\.co-few\.eta: 0\.5"),
        ("sweeps.di-seq.schedule", "sequential-renoised", r"sweeps\.di-seq\.prior: null"),
        ("models.adapted.start", "nobody", r"models\.adapted\.start: 'nobody' is not defined"),
        ("models.adapted.start", "ar", r"models\.adapted\.start: 'ar' is ar, it must be mdlm"),
        ("models.adapted.latents", "discrete", r"models\.adapted\.latents: .*continuous latents"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(place, value, message):
    with pytest.raises(ConfigError, match=message):
        check_suite(changed(place, value, values()), "params.yaml")
