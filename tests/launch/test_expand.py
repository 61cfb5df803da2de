"""Which cells a grid has, what they are called, what they hold, and which are refused with what reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ladd.config import check_suite, load_suite
from ladd.config.replicates import replicated
from ladd.errors import ConfigError
from ladd.launch.ablation import document
from ladd.launch.expand import Expansion, expand
from ladd.launch.grid import Grid
from ladd.launch.overrides import read_values
from ladd.stages.declaration import read_declaration
from ladd.stages.planned import stages_in_order
from tests.builders import suite_values, text_suite_values
from tests.stages.tiny import REPOSITORY

BOTH = ["discrete", "continuous"]


def grid(**changes) -> Grid:
    return Grid(
        **{"name": "study", "lengths": [1, 4], "codebooks": [4, 8], "token_steps": [1, 2], "seeds": [3, 4]} | changes
    )


def of_sawtooth(values: dict | None = None, **changes) -> Expansion:
    return expand(values or suite_values(), grid(**changes))


def of_text_demo(**changes) -> Expansion:
    values = read_values(REPOSITORY / "suites/text-demo/params.yaml")
    return expand(values, Grid(**{"name": "study", "suite": "suites/text-demo", "seeds": [0, 1]} | changes))


def names(expansion: Expansion) -> list[str]:
    return [cell.name for cell in expansion.cells]


def reasons(expansion: Expansion) -> dict[str, str]:
    return {each.cell.name: each.reason for each in expansion.rejected}


def test_discrete_cells_are_every_combination_in_the_order_of_the_grid():
    expansion = of_sawtooth()
    assert names(expansion) == [
        "di-L1-K4-joint",
        "di-L1-K4-sequential",
        "di-L1-K8-joint",
        "di-L1-K8-sequential",
        "di-L4-K4-joint",
        "di-L4-K4-sequential",
        "di-L4-K8-joint",
        "di-L4-K8-sequential",
    ]
    assert expansion.rejected == []
    values = expansion.values
    assert list(values["latents"]) == ["discrete-L1-K4", "discrete-L1-K8", "discrete-L4-K4", "discrete-L4-K8"]
    assert list(values["models"]) == ["di-L1-K4", "di-L1-K8", "di-L4-K4", "di-L4-K8"]
    assert list(values["sweeps"]) == ["mdlm", "ar", *names(expansion)]
    assert (values["suite"], values["root"]) == ("study", "../..")
    assert expansion.trainings == 4 + 4 + 2  # latents, models, baselines


def test_cell_is_its_base_with_another_shape():
    base, values = suite_values(), of_sawtooth().values
    assert values["latents"]["discrete-L4-K8"] == base["latents"]["discrete"] | {"length": 4, "codebook": 8}
    assert values["models"]["di-L4-K8"] == base["models"]["di"] | {"latents": "discrete-L4-K8"}
    assert values["baselines"] == base["baselines"]


def test_continuous_latents_have_one_cell_per_length():
    expansion = of_sawtooth(kinds=BOTH, codebooks=[4])
    assert [cell.model for cell in expansion.cells if cell.schedule == "joint"] == [
        "di-L1-K4",
        "di-L4-K4",
        "co-L1",
        "co-L4",
    ]
    assert expansion.rejected == []
    assert expansion.values["latents"]["continuous-L4"]["codebook"] is None


def test_codes_of_continuous_latents_alone_are_refused():
    expansion = of_sawtooth(kinds=["continuous"], codebooks=[4], schedules=["joint"])
    assert names(expansion) == ["co-L1-joint", "co-L4-joint"]
    expected = "latents.continuous-{}-K4: codebook is 4: continuous latents have none, set it to null"
    assert reasons(expansion) == {f"co-{shape}-K4-joint": expected.format(shape) for shape in ("L1", "L4")}


def test_length_above_that_of_the_tokens_is_refused():
    expansion = of_sawtooth(lengths=[8, 9], codebooks=[4], schedules=["joint"])
    assert names(expansion) == ["di-L8-K4-joint"]
    assert reasons(expansion) == {"di-L9-K4-joint": "latents.discrete-L9-K4.length: L = 9 must be at most N = 8"}


def test_sequential_co_ladd_without_a_prior_is_refused():
    values = suite_values()
    values["priors"] = {}
    del values["sweeps"]["co-seq"]
    expansion = of_sawtooth(values, kinds=BOTH, lengths=[2], codebooks=[4])
    assert names(expansion) == ["di-L2-K4-joint", "di-L2-K4-sequential", "co-L2-joint"]
    ((name, reason),) = reasons(expansion).items()
    assert name == "co-L2-sequential"
    assert reason.startswith("sweeps.co-L2-sequential.prior: None draws no latents 'continuous-L2'")


def test_joint_schedule_of_a_model_that_never_saw_pure_noise_is_refused():
    values = suite_values()
    values["models"]["co"] |= {"latent_noise": [0.0, 0.2]}
    values["models"]["co"]["latent_channel"]["times"] = "independent"
    expansion = of_sawtooth(values, kinds=["continuous"], codebooks=[], lengths=[2])
    assert names(expansion) == ["co-L2-sequential"]
    assert "the joint schedule starts from pure noise" in reasons(expansion)["co-L2-joint"]


def test_grid_of_which_no_cell_is_left_names_each_reason_once():
    with pytest.raises(ConfigError) as caught:
        of_sawtooth(lengths=[9, 10], codebooks=[4], schedules=["joint", "sequential"])
    assert str(caught.value).splitlines() == [
        "study has no cell that makes sense:",
        "  latents.discrete-L9-K4.length: L = 9 must be at most N = 8",
        "  latents.discrete-L10-K4.length: L = 10 must be at most N = 8",
    ]


def test_budget_above_the_number_of_tokens_is_an_error_of_the_whole():
    with pytest.raises(ConfigError, match=r"without its cells.*\n.*token_steps: 16 must be at most N = 8"):
        of_sawtooth(token_steps=[16])


def test_sampler_settings_are_those_of_the_base_for_model_and_schedule():
    values = suite_values()
    values["sweeps"]["di-joint"] |= {"token_lag": 4.0, "latent_lead": 16.0}
    values["sweeps"]["di-seq"] |= {"temperature": 0.9, "latent_steps": 3}
    sweeps = of_sawtooth(values).values["sweeps"]
    shared = {"token_steps": [1, 2], "samples": 10, "seeds": [3, 4]}
    assert sweeps["di-L1-K4-joint"] == values["sweeps"]["di-joint"] | shared | {"model": "di-L1-K4"}
    assert sweeps["di-L4-K8-sequential"] == values["sweeps"]["di-seq"] | shared | {"model": "di-L4-K8"}


def test_schedule_that_the_base_does_not_sample_gets_neutral_settings():
    values = suite_values()
    values["sweeps"]["co-seq"] |= {"eta": 1.0, "token_lag": 2.0, "temperature": 0.8, "latent_steps": 5}
    sweeps = of_sawtooth(values, kinds=["continuous"], codebooks=[]).values["sweeps"]
    assert sweeps["co-L1-joint"] | {"token_steps": 0} == values["sweeps"]["co-seq"] | {
        "model": "co-L1",
        "schedule": "joint",
        "token_steps": 0,
        "latent_steps": 0,
        "token_lag": 1.0,
        "eta": 0.0,
        "seeds": [3, 4],
        "prior": None,
    }
    assert sweeps["co-L1-sequential"]["latent_steps"] == 5
    assert sweeps["co-L1-sequential"]["prior"] == "continuous-L1"
    assert of_sawtooth(values, latent_steps=2).values["sweeps"]["di-L1-K4-sequential"]["latent_steps"] == 2


def test_samples_and_seeds_are_alike_everywhere_and_real_sequences_suffice():
    values = of_sawtooth(samples=50).values
    sized = [*values["sweeps"].values(), values["evaluation"]["reference"]]
    assert {(block["samples"], *block["seeds"]) for block in sized} == {(50, 3, 4)}
    assert values["data"]["saw"]["reference"] == 2 * 50 * 2
    assert of_sawtooth(samples=2).values["data"]["saw"]["reference"] == suite_values()["data"]["saw"]["reference"]


def test_baselines_take_the_budgets_of_the_grid_but_for_ar():
    sweeps = of_sawtooth().values["sweeps"]
    assert (sweeps["mdlm"]["token_steps"], sweeps["ar"]["token_steps"]) == ([1, 2], [8])


def test_baselines_can_be_left_out():
    values = of_sawtooth(baselines=False).values
    assert values["baselines"] == {}
    assert "mdlm" not in values["sweeps"]


def test_trainings_are_shortened_and_the_header_says_so():
    values = suite_values()
    values["latents"]["discrete"]["quantise_after"] = 4
    expansion = of_sawtooth(values, stage1_steps=3, stage2_steps=2)
    assert {block["training"]["steps"] for block in expansion.values["latents"].values()} == {3}
    trained = [*expansion.values["models"].values(), *expansion.values["baselines"].values()]
    assert {block["training"]["steps"] for block in trained} == {2}
    assert "latents.discrete: steps: 6 -> 3, warmup: 2 -> 1, " in "\n".join(expansion.notes)
    assert [note for note in expansion.notes if "quantise_after: 4 -> 2" in note] == expansion.notes[-1:]
    assert "# " + "  " + expansion.notes[-1] in document(grid(), expansion).splitlines()


def test_overrides_apply_to_the_base():
    values = of_sawtooth(overrides={"models.di.latent_weight": 3.0}).values
    assert {model["latent_weight"] for model in values["models"].values()} == {3.0}
    with pytest.raises(ConfigError, match="latent_wait"):
        of_sawtooth(overrides={"models.di.latent_wait": 3.0})


def test_base_model_can_be_chosen_and_must_be_of_its_kind():
    values = suite_values()
    values["models"]["di-wide"] = values["models"]["di"] | {"token_weight": 2.0}
    expansion = of_sawtooth(values, discrete_model="di-wide", lengths=[1], codebooks=[4], schedules=["joint"])
    assert names(expansion) == ["di-wide-L1-K4-joint"]
    with pytest.raises(
        ConfigError, match=r"discrete_model: 'co' is no model on discrete latents of \.; it has \['di', 'di-wide'\]"
    ):
        of_sawtooth(values, discrete_model="co")
    del values["models"]["co"], values["sweeps"]["co-seq"]
    with pytest.raises(ConfigError, match="no model on continuous latents"):
        of_sawtooth(values, kinds=["continuous"], codebooks=[])


def test_base_stays_as_it_is():
    values = suite_values()
    before = json.dumps(values)
    of_sawtooth(values, kinds=BOTH, stage1_steps=2, stage2_steps=3, samples=50, overrides={"seed": 5})
    assert json.dumps(values) == before


def test_frozen_encoder_gets_a_view_per_length_and_a_codebook_per_shape():
    expansion = of_text_demo(kinds=BOTH, lengths=[8, 16], codebooks=[64], schedules=["joint"], stage1_steps=20)
    assert names(expansion) == [
        "di-ladd-L8-K64-joint",
        "di-ladd-L16-K64-joint",
        "co-ladd-L8-joint",
        "co-ladd-L16-joint",
    ]
    values = expansion.values
    base = read_values(REPOSITORY / "suites/text-demo/params.yaml")
    chunks = base["encoders"]["minilm"]["views"]["chunks"]
    assert values["encoders"]["minilm"]["views"] == {
        f"chunks-L{length}": chunks | {"length": length} for length in (8, 16)
    }
    codes = {"codebook": 64, "steps": 20, "batch": 512}
    assert values["codebooks"] == {f"di-L{n}-K64": {"latents": f"minilm/chunks-L{n}"} | codes for n in (8, 16)}
    assert values["models"]["co-ladd-L8"]["latents"] == "minilm/chunks-L8"
    assert values["latents"] == {}
    assert "codebooks.di: steps: 200 -> 20" in expansion.notes


def test_sweeps_with_given_tokens_are_left_out():
    assert list(of_text_demo(lengths=[8], codebooks=[64], schedules=["joint"]).values["sweeps"]) == [
        "mdlm",
        "ar",
        "di-ladd-L8-K64-joint",
    ]


def test_aligned_view_is_refused_at_every_length_but_that_of_the_tokens():
    expansion = of_text_demo(
        kinds=["continuous"], codebooks=[16], lengths=[32, 64], schedules=["joint"], continuous_model="ccdd"
    )
    assert names(expansion) == ["ccdd-L64-joint"]
    codes = "models.ccdd-L64-K16.latents: co-ladd needs continuous latents, 'aligned-L64-K16' is discrete"
    aligned = "encoders.minilm.views.aligned-L32.length: aligned latents need L = N = 64, not 32"
    assert reasons(expansion) == {
        "ccdd-L32-joint": aligned,
        "ccdd-L32-K16-joint": aligned,
        "ccdd-L64-K16-joint": codes,
    }


def test_text_schedule_is_refused_by_what_the_base_model_was_trained_for():
    sequential = of_text_demo(kinds=["continuous"], codebooks=[], lengths=[8], continuous_model="co-ladd-seq")
    assert (names(sequential), list(reasons(sequential))) == (["co-ladd-seq-L8-sequential"], ["co-ladd-seq-L8-joint"])


@pytest.mark.parametrize(
    "expansion",
    [
        lambda: of_sawtooth(kinds=BOTH, codebooks=[4], stage1_steps=3, samples=50),
        lambda: expand(text_suite_values(), grid(kinds=BOTH, codebooks=[4], schedules=["joint"])),
        lambda: expand(
            read_values(REPOSITORY / "params.yaml"), grid(kinds=BOTH, lengths=[2, 99], codebooks=[4], seeds=[3, 4, 5])
        ),
        lambda: of_text_demo(kinds=BOTH, lengths=[4], codebooks=[16]),
        lambda: expand(
            read_values(REPOSITORY / "suites/lm1b/params.yaml"), grid(kinds=BOTH, lengths=[128], codebooks=[16])
        ),
    ],
    ids=["sawtooth", "text", "default", "text-demo", "lm1b"],
)
def test_suite_loads_every_template_resolves_and_bytes_are_the_same_again(expansion, tmp_path):
    first, second = expansion(), expansion()
    text = document(grid(), first)
    assert document(grid(), second) == text
    (folder := tmp_path / "suites/study").mkdir(parents=True)
    (tmp_path / "ladd").symlink_to(REPOSITORY / "ladd")
    (folder / "params.yaml").write_text(text)
    (folder / "dvc.yaml").write_text((REPOSITORY / "dvc.yaml").read_text())
    assert load_suite(folder / "params.yaml") == replicated(check_suite(first.values, "expanded"))
    assert yaml.safe_load(text) == first.values
    assert_every_stage_resolves(folder, first)


def assert_every_stage_resolves(folder: Path, expansion: Expansion) -> None:
    stages = list(stages_in_order(expansion.values))
    assert {f"measure {cell.name}" for cell in expansion.cells} <= {f"{name} {key}" for name, key in stages}
    for name, key in stages:
        declared = read_declaration(name, key, folder)
        filled = [declared.command, *map(str, declared.dependencies), *map(str, declared.outputs)]
        assert [text for text in filled if "$" in text] == []


def test_header_says_how_to_run_it_again_and_what_is_left_out():
    asked = grid(lengths=[8, 9], codebooks=[4], schedules=["joint"])
    lines = document(asked, expand(suite_values(), asked)).splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert header == [
        "# Ablation of the suite .: 1 cell, 4 trainings (docs/ABLATIONS.md). To run it again:",
        "#   ladd ablate study --lengths 8 9 --codebooks 4 --schedules joint --token-steps 1 2 --seeds 3 4",
        "# Cells that make no sense and are left out:",
        "#   di-L9-K4-joint: latents.discrete-L9-K4.length: L = 9 must be at most N = 8",
    ]
    assert lines[len(header)] == "root: ../.."


def test_shortened_prior_is_noted():
    expansion = of_sawtooth(kinds=["continuous"], codebooks=[], schedules=["sequential"], stage2_steps=3)
    assert [note.partition(":")[0] for note in expansion.notes if "steps: 6 -> 3" in note] == [
        *("baselines.mdlm", "baselines.ar", "models.co", "priors.continuous"),
    ]
