"""Every stage of a tiny text suite, once, in this process: made-up English, a random encoder and a random teacher."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from ladd.data.shards import Rows
from ladd.files import file_hash
from ladd.stages.artifacts import load_latents, load_tokens
from ladd.stages.bound import TIME_DRAWS
from ladd.stages.declaration import read_declaration
from ladd.stages.manifest import content_hash
from ladd.stages.planned import stages_in_order
from ladd.stages.sample import starting_tokens
from ladd.stages.seconds import read_seconds, with_seconds
from ladd.stages.trained import load_trained
from ladd.systems.base import System
from ladd.tasks import task_of
from ladd.tasks.text.build import TOKENIZER
from ladd.tasks.text.tokenizer import Tokenizer
from tests.builders import corpus, path_asset, text_suite_values
from tests.stages.finished import Finished
from tests.stages.text_assets import write_assets
from tests.stages.tiny import make_suite, run_all, run_here, write_params

CPU = torch.device("cpu")
VALUES = text_suite_values()
TOKENS, VOCABULARY = VALUES["data"]["text"]["tokens"], VALUES["data"]["text"]["tokenizer"]["vocabulary"]
ZERO_SHOT = {f"zero_shot_ppl/{name}" for name in VALUES["data"]["text"]["zero_shot"]}
LIKELIHOOD = {"val_ppl"} | ZERO_SHOT
RELIANCE = {f"latent_reliance/{name}" for name in ("own", "shuffled", "none")}
SAMPLED = {
    *("gen_ppl", "mauve", "entropy_sequence", "entropy_positional"),
    *(f"distinct_{n}" for n in (1, 2, 3, 4)),
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A repository with code and assets in which nothing has run."""
    folder = tmp_path_factory.mktemp("repository")
    write_assets(folder)
    return folder


@pytest.fixture(scope="module")
def once(repository) -> Iterator[Finished]:
    folder = make_suite(repository, repository / "suites" / "tiny-text", text_suite_values())
    with contextlib.chdir(folder):
        run_all()
    return Finished(repository, folder)


@pytest.fixture
def finished(once, monkeypatch) -> Finished:
    """The suite that has run; its folder is the working directory."""
    monkeypatch.chdir(once.folder)
    return once


def other_suite(finished: Finished, values: dict) -> Path:
    """A suite beside the finished one; nothing of it has run."""
    folder = finished.repository / "suites" / values["suite"]
    folder.mkdir()
    shutil.copy(finished.folder / "dvc.yaml", folder)
    write_params(folder, values)
    return folder


def with_data(name: str, **changes) -> dict:
    """The text suite under another name, with other settings of its data."""
    values = text_suite_values() | {"suite": name}
    values["data"]["text"] |= changes
    return values


def files_of(*folders: Path) -> dict[str, str]:
    """Hash of every file but the manifests, which name the parameters."""
    return {
        path.relative_to(folder).as_posix(): file_hash(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def test_stages_write_what_they_declare_and_nothing_else(finished):
    finished.check_outputs()


def test_every_family_and_reference_has_rows(finished):
    families = {"mdlm", "ar", "co-ladd", "di-ladd", "real", "shuffled", "unigram", "bigram"}
    assert set(finished.compare["family"]) == families


def expected_metrics(key: str) -> set[str]:
    """By model of the rows: a sweep, or a reference."""
    if key not in VALUES["sweeps"]:
        reference = {"real": SAMPLED, "shuffled": {"gen_ppl"}}
        return reference.get(key.removesuffix("-text"), LIKELIHOOD)
    if VALUES["sweeps"][key]["given"]:
        return SAMPLED  # given tokens change what is sampled, not what is likely
    found = SAMPLED | LIKELIHOOD | ({"full_bound"} if key.startswith("di-") else set())
    return found | (RELIANCE if VALUES["sweeps"][key]["model"] in VALUES["models"] else set())


def test_every_model_has_the_metrics_of_its_kind_and_no_other(finished):
    references = {f"{name}-text" for name in ("real", "shuffled", "unigram", "bigram")}
    models = finished.compare.group_by("model").agg(pl.col("metric").unique())
    found = {model: set(metrics) for model, metrics in models.iter_rows()}
    assert found == {key: expected_metrics(key) for key in {*VALUES["sweeps"], *references}}


@pytest.mark.parametrize("metric", sorted(SAMPLED))
def test_every_point_and_seed_of_every_sweep_is_measured_once(finished, metric):
    found = finished.compare.filter(pl.col("metric") == metric, ~pl.col("family").is_in(["real", "shuffled"]))
    expected = [
        (key, point.token_steps, point.temperature, seed)
        for key, sweep in finished.suite.sweeps.items()
        for point in sweep.points
        for seed in sweep.seeds
    ]
    assert Counter(found.select("model", "token_steps", "temperature", "seed").iter_rows()) == Counter(expected)
    assert set(found["n"]) == {8}


def test_values_are_possible(finished):
    rows = {metric: group for (metric,), group in finished.compare.group_by("metric")}
    assert all(math.isfinite(value) for value in finished.compare["value"])
    for metric in ("val_ppl", "gen_ppl", *ZERO_SHOT):
        assert rows[metric]["value"].min() > 1
    for metric in (*(f"distinct_{n}" for n in (1, 2, 3, 4)), "mauve"):
        assert 0 < rows[metric]["value"].min() <= rows[metric]["value"].max() <= 1
    for metric in ("entropy_sequence", "entropy_positional"):
        assert 0 < rows[metric]["value"].min() <= rows[metric]["value"].max() < math.log(VOCABULARY)
    assert rows["entropy_sequence"]["value"].max() <= math.log(TOKENS)


def test_likelihoods_are_of_as_many_sequences_as_asked_for(finished):
    rows = finished.compare.filter(pl.col("metric").is_in([*LIKELIHOOD, "full_bound"]))
    counts = dict(rows.group_by("metric").agg(pl.col("n").unique().sort()).iter_rows())
    assert counts == {"val_ppl": [12], "full_bound": [12], **{name: [6] for name in ZERO_SHOT}}
    assert rows["stderr"].null_count() == 0
    assert rows["documents"].min() > 1
    assert set(rows["tokenizer"]) == {Tokenizer.load(Path(f"artifacts/data/text/{TOKENIZER}")).file_hash[:32]}


def test_rows_name_whose_tokens_were_counted(finished):
    names = dict(finished.compare.group_by("metric").agg(pl.col("tokenizer").unique()).iter_rows())
    assert [name.startswith("teacher ") for name in names["gen_ppl"]] == [True]
    assert [name.startswith("encoder ") for name in names["mauve"]] == [True]
    assert names["distinct_2"] == names["entropy_sequence"] == names["val_ppl"]


def test_bigram_knows_more_of_the_grammar_than_the_unigram(finished):
    rows = finished.compare.filter(pl.col("metric") == "val_ppl")
    values = dict(rows.select("family", "value").iter_rows())
    assert values["bigram"] < 0.7 * values["unigram"]
    assert values["unigram"] < VOCABULARY


def test_shape_of_the_latents_is_in_the_rows(finished):
    rows = finished.compare.filter(pl.col("metric") == "gen_ppl").unique(["model"]).select("model", "L", "K", "w")
    shapes = {model: tuple(shape) for model, *shape in rows.iter_rows()}
    assert shapes["co-joint"] == (4, None, 4)
    assert shapes["ccdd-joint"] == (TOKENS, None, 4)
    assert shapes["learned-seq"] == (2, None, 4)
    assert shapes["di-seq"] == (4, 8, 4)
    assert shapes["mdlm"] == shapes["real-text"] == (None, None, None)


@pytest.mark.parametrize(("key", "count"), [("mdlm-prefix", 4), ("ar-prefix", 4), ("co-infill", 8), ("di-infill", 8)])
def test_given_tokens_are_kept_on_every_row(finished, key, count):
    sweep = finished.suite.sweeps[key]
    validation = load_tokens("text", "validation", CPU)[:].long()
    used = []
    for index, seed in finished.suite.numbered_seeds(key):
        start = starting_tokens(finished.suite, sweep, SimpleNamespace(index=index, seed=seed), CPU)
        given = start != VOCABULARY
        assert (given.sum(dim=1) == count).all()
        if key.endswith("prefix"):
            assert given[:, :count].all()
        else:
            assert len(given.unique(dim=0)) > 1
        (point,) = sweep.points
        x = finished.samples(key, point.name, seed)
        assert torch.equal(x[given], start[given])
        assert (x < VOCABULARY).all()
        assert (x[~given] != start[~given]).all()
        # Every row goes on from a real sequence of its own.
        agree = ((start[:, None] == validation) | ~given[:, None]).all(dim=2)
        assert agree.any(dim=1).all()
        used.append(start)
    assert not torch.equal(*used)


def test_samples_without_given_tokens_are_whole_and_differ_between_seeds(finished):
    a, b = (finished.samples("co-joint", "steps-4-temperature-1", seed) for seed in (0, 1))
    assert a.shape == b.shape == (8, TOKENS)
    assert max(a.max(), b.max()) < VOCABULARY
    assert not torch.equal(a, b)


def test_shown_samples_are_the_first_ones_with_their_given_runs(finished):
    tokenizer = Tokenizer.load(Path(f"artifacts/data/text/{TOKENIZER}"))
    for key, sweep in finished.suite.sweeps.items():
        shown = finished.results(f"samples/{key}.json")
        assert [(p["token_steps"], p["temperature"]) for p in shown] == [
            (point.token_steps, point.temperature) for point in sweep.points
        ]
        for point, entry in zip(sweep.points, shown, strict=True):
            x = finished.samples(key, point.name, sweep.seeds[0])
            assert len(entry["items"]) == 4
            if sweep.given is None:
                assert entry["items"] == [[[tokenizer.decode(row), False]] for row in x[:4].tolist()]
            elif sweep.given.kind == "prefix":
                expected = [[[tokenizer.decode(r[:4]), True], [tokenizer.decode(r[4:]), False]] for r in x[:4].tolist()]
                assert entry["items"] == expected
            else:
                assert all({flag for _, flag in item} == {True, False} for item in entry["items"])


def test_sampling_times_are_apart_from_the_results_and_can_be_put_beside_them(finished):
    for key, sweep in finished.suite.sweeps.items():
        seconds = read_seconds(key)
        assert seconds.keys() == {f"{point.name}-seed-{seed}" for point in sweep.points for seed in sweep.seeds}
        of_sweep = finished.compare.filter(model=key)
        assert of_sweep["seconds_per_sample"].is_null().all()  # git and DVC have none
        rows = with_seconds(of_sweep, key, sweep).filter(metric="seconds_per_sequence")
        assert sorted(rows["value"]) == pytest.approx(sorted(seconds.values()))
        assert rows["value"].to_list() == rows["seconds_per_sample"].to_list()


def test_codebook_reports_the_use_of_its_codes(finished):
    report, codes = finished.results("stage1/codes.json"), load_latents(Path("artifacts/latents/codes"), "train", CPU)
    counts = codes[:].flatten().bincount(minlength=8)
    assert report["probabilities"] == pytest.approx(sorted((counts / counts.sum()).tolist(), reverse=True), abs=1e-6)
    probability = counts[counts > 0].double() / counts.sum()
    assert report["perplexity"] == pytest.approx(float((-probability * probability.log()).sum().exp()), rel=1e-5)
    assert codes.shape == (len(load_tokens("text", "train", CPU)), 4)


@pytest.mark.parametrize(("view", "scale"), [("chunks", 2.0), ("aligned", 2.0), ("short", 1.0)])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_latents_are_aligned_to_the_blocks_and_of_one_norm(finished, view, scale, split):
    latents = load_latents(Path("artifacts/latents/bert") / view, split, CPU)
    config = finished.suite.encoders["bert"].views[view]
    assert latents.shape == (len(load_tokens("text", split, CPU)), config.length, config.width)
    assert latents.shards[0].dtype == np.float16
    norms = latents[:].float().norm(dim=-1)
    torch.testing.assert_close(norms, torch.full_like(norms, scale), rtol=2e-3, atol=0)


@pytest.mark.parametrize(("model", "view"), [("co", "chunks"), ("di", "chunks"), ("ccdd", "aligned")])
def test_models_carry_the_reduction_of_their_latents(finished, model, view):
    # Without it their other text could not be encoded; the encoder itself stays an asset.
    reduction = load_file(f"artifacts/models/{model}/reduction.safetensors")
    expected = load_file(f"artifacts/latents/bert/{view}/reduction.safetensors")
    assert reduction.keys() == expected.keys()
    assert all(torch.equal(reduction[name], expected[name]) for name in expected if name != "explained")
    weights = load_file(f"artifacts/models/{model}/weights.safetensors")
    assert [name for name in weights if name.startswith("encoder.")] == []
    assert any(name.startswith("codebook.") for name in weights) == (model == "di")


def test_learned_encoder_goes_with_its_model(finished):
    stage1 = load_file("artifacts/latents/learned/weights.safetensors")
    stage2 = load_file("artifacts/models/co-learned/weights.safetensors")
    names = [name for name in stage1 if name.startswith("encoder.")]
    assert names
    assert all(torch.equal(stage1[name], stage2[name]) for name in names)
    assert not Path("artifacts/models/co-learned/reduction.safetensors").exists()


def test_losses_by_time_are_those_of_every_model_that_has_a_time(finished):
    co, di = ["clean", "shared", "masked"], ["clean", "noisy", "masked"]
    expected = {"mdlm": [""], "ar": [], "di": di, **dict.fromkeys(["co", "ccdd", "co-learned"], co)}
    for model, given in expected.items():
        rows = pl.read_csv(f"results/loss_by_time/{model}.csv", empty_string_is_null=False)
        assert rows.select("latents", "t_low").rows() == [(name, place / 10) for name in given for place in range(10)]
    # They are of the sequences of the bound, and add up to the bound at as many time draws.
    suite, task = finished.suite, task_of(finished.suite, "text")
    x = task.held_out("validation", task.evaluation.sequences).tokens
    settings = replace(task.bound_settings, time_draws=TIME_DRAWS)
    system, sweep = System.of(suite, "mdlm"), suite.sweeps["mdlm"]
    bound = system.bounds(load_trained(suite, "mdlm", CPU), x, settings, sweep)["token_elbo"].mean()
    total = pl.read_csv("results/loss_by_time/mdlm.csv")["weighted"].sum()
    assert total == pytest.approx(float(bound), rel=1e-5)


def test_pages_show_every_sweep(finished):
    table, page = (Path(f"results/{name}").read_text() for name in ("compare.txt", "samples.html"))
    assert [key for key, sweep in VALUES["sweeps"].items() if sweep["given"] is None and key not in table] == []
    assert [key for key in VALUES["sweeps"] if key not in page] == []
    report = Path("results/report.html").read_text()
    assert "<html" in report
    assert [key for key in VALUES["sweeps"] if key not in report.split("params.yaml")[0]] == []
    assert {"gen-ppl.png", "curves.png", "codebook.png", "loss-by-time.png"} <= {
        path.name for path in Path("results/plots").iterdir()
    }


def test_runs_are_tracked_with_the_encoder_behind_their_latents(finished):
    client = MlflowClient(tracking_uri=f"sqlite:///{finished.repository}/.mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny-text")
    found = client.search_runs([experiment.experiment_id], "tags.role != ''")  # all but that of the suite
    runs = {run.data.tags["dvc.stage"]: run for run in found}
    tracked = ("stage1", "codebook", "prior", "baseline", "stage2", "measure")
    assert sorted(run.data.tags["dvc.stage"] for run in found) == sorted(
        f"{name}@{key}" for name, key in stages_in_order(VALUES) if name in tracked
    )
    assert {run.info.status for run in found} == {"FINISHED"}
    assert runs["codebook@codes"].data.metrics["perplexity"] == finished.results("stage1/codes.json")["perplexity"]
    parameters = runs["measure@di-seq"].data.params
    assert parameters["latents.encoder.asset.name"] == "encoder"
    assert parameters["latents.pooling"] == "adaptive"
    assert parameters["latents.codebook"] == "8"
    assert parameters["data.tokenizer.vocabulary"] == str(VOCABULARY)
    assert runs["measure@mdlm"].data.metrics.keys() >= {
        "val_ppl",
        "gen_ppl",
        "gen_ppl/stderr/temperature_0.7",
        "mauve",
    }


def test_zero_shot_corpora_are_read_by_field_and_detokenised(finished):
    description = json.loads(Path("artifacts/data/text/description.json").read_text())
    counts = {name: corpus["documents"] for name, corpus in description["corpora"].items()}
    assert counts == {"train": 48, "validation": 12, "zero_shot/sentences": 40, "zero_shot/articles": 30}
    tokenizer = Tokenizer.load(Path(f"artifacts/data/text/{TOKENIZER}"))
    texts = {
        name: "".join(tokenizer.decode(row) for row in load_tokens("text", f"zero_shot/{name}", CPU)[:].tolist())
        for name in ("sentences", "articles")
    }
    assert " ." in texts["sentences"]  # left alone
    assert " ." not in texts["articles"]  # joined by its detokeniser
    assert "@xmath0, see here." in texts["articles"]
    assert "no." not in texts["articles"]  # the abstract


def test_packing_again_gives_identical_bytes(finished):
    folder = Path("artifacts/data/text")
    before = files_of(folder) | {"manifest": file_hash(folder / "manifest.json")}
    run_here("data", "text")
    assert files_of(folder) | {"manifest": file_hash(folder / "manifest.json")} == before


def test_encoding_again_gives_identical_bytes(finished):
    folder = Path("artifacts/latents/bert")
    before = files_of(folder) | {"manifest": file_hash(folder / "manifest.json")}
    run_here("encode", "bert")
    assert files_of(folder) | {"manifest": file_hash(folder / "manifest.json")} == before


def test_number_of_workers_does_not_change_the_data(finished, monkeypatch):
    values = text_suite_values() | {"suite": "two-workers"}
    values["run"]["workers"] = 2
    folder = other_suite(finished, values)
    monkeypatch.chdir(folder)
    run_here("data", "text")
    assert files_of(Path("artifacts/data/text")) == files_of(finished.folder / "artifacts/data/text")


@pytest.mark.parametrize(
    ("name", "field", "detokeniser"), [("lm1b", "text", "mdlm-lm1b"), ("news", "description", "none")]
)
def test_another_zero_shot_corpus_leaves_training_data_and_latents_alone(
    finished, monkeypatch, name, field, detokeniser
):
    other = corpus(f"corpora/{name}.parquet", "", "parquet", field=field, detokeniser=detokeniser)
    zero_shot = VALUES["data"]["text"]["zero_shot"] | {"sentences": other}
    folder = other_suite(finished, with_data(f"other-{name}", zero_shot=zero_shot))
    parts = [Path("artifacts/data/text") / part for part in ("train", "validation", "tokenizer", "zero_shot/articles")]
    before = [content_hash(part) for part in parts], read_declaration("encode", "bert").fingerprint()
    whole = content_hash(Path("artifacts/data/text"))
    monkeypatch.chdir(folder)
    run_here("data", "text")
    assert ([content_hash(part) for part in parts], read_declaration("encode", "bert").fingerprint()) == before
    assert content_hash(Path("artifacts/data/text")) != whole
    for part in parts:
        assert files_of(part) == files_of(finished.folder / part)
    sentences = Path("artifacts/data/text/zero_shot/sentences")
    assert files_of(sentences) != files_of(finished.folder / sentences)


TRAININGS = [
    stage for stage in stages_in_order(VALUES) if stage[0] in ("encode", "codebook", "stage1", "baseline", "stage2")
]


def training_fingerprints(finished, monkeypatch, values: dict) -> dict[str, str]:
    """Of what has weights, in a suite whose data are made again and whose latents are those of the finished one."""
    folder = other_suite(finished, values)
    monkeypatch.chdir(folder)
    run_here("data", "text")
    (folder / "artifacts/latents").symlink_to(finished.folder / "artifacts/latents")
    return {f"{name}@{key}": read_declaration(name, key).fingerprint() for name, key in TRAININGS}


def with_sampling(name: str, **changes) -> dict:
    """The text suite under another name, with other settings of all sampling."""
    values = text_suite_values() | {"suite": name}
    for sampling in (*values["sweeps"].values(), values["evaluation"]["reference"]):
        sampling |= {key: value for key, value in changes.items() if key in sampling}
    return values


def with_corpus(name: str, other: str, **changes) -> dict:
    """The text suite under another name, with a zero-shot corpus added or changed."""
    zero_shot = text_suite_values()["data"]["text"]["zero_shot"]
    return with_data(name, zero_shot=zero_shot | {other: zero_shot["articles"] | changes})


@pytest.mark.parametrize(
    "values",
    [
        with_corpus("one-corpus-more", "more"),
        with_corpus("other-detokeniser", "articles", detokeniser="mdlm-ptb"),
        with_sampling("one-seed-more", seeds=[0, 1, 2]),
        text_suite_values() | {"suite": "other-run", "run": {"workers": 2, "shard": 64, "latent_shard": 9, "batch": 4}},
    ],
    ids=lambda values: values["suite"],
)
def test_settings_that_change_no_weights_train_nothing_again(finished, monkeypatch, values):
    before = {f"{name}@{key}": read_declaration(name, key).fingerprint() for name, key in TRAININGS}
    assert training_fingerprints(finished, monkeypatch, values) == before


def test_an_id_that_no_text_has_trains_the_models_again(finished, monkeypatch):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"artifacts/data/text/{TOKENIZER}")
    assert tokenizer.add_tokens(["\u2603"]) == 1
    (finished.repository / "larger").mkdir()
    tokenizer.save(str(finished.repository / "larger/tokenizer.json"))
    before = {f"{name}@{key}": read_declaration(name, key).fingerprint() for name, key in TRAININGS}
    larger = {
        "kind": "pretrained",
        "vocabulary": VOCABULARY + 1,
        "asset": path_asset("larger"),
        "files": "tokenizer.json",
    }
    after = training_fingerprints(finished, monkeypatch, with_data("larger", tokenizer=larger))
    assert files_of(Path("artifacts/data/text/train")) == files_of(finished.folder / "artifacts/data/text/train")
    assert {name for name in before if before[name] == after[name]} == {"codebook@codes"}  # of the latents alone


def test_aligned_latents_under_the_encoders_own_tokenizer_are_its_states(finished, monkeypatch):
    vocabulary = json.loads((finished.repository / "encoder/config.json").read_text())["vocab_size"]
    own = {"kind": "pretrained", "vocabulary": vocabulary, "asset": path_asset("encoder"), "files": "tokenizer.json"}
    view = {"length": 16, "width": 16, "pooling": "aligned", "reduction": "truncate", "unit_variance": False}
    values = with_data("own-tokens", tokenizer=own) | {"latents": {}, "codebooks": {}, "priors": {}, "models": {}}
    values["encoders"]["bert"] |= {"views": {"aligned": view}}
    values["sweeps"] = {"mdlm": values["sweeps"]["mdlm"]}
    folder = other_suite(finished, values)
    monkeypatch.chdir(folder)
    run_here("data", "text")
    run_here("encode", "bert")
    x = load_tokens("text", "validation", CPU)[:4].long()
    latents = Rows.open(Path("artifacts/latents/bert/aligned/validation"), CPU)[:4].float()
    from transformers import AutoModel

    network = AutoModel.from_pretrained(finished.repository / "encoder").eval()
    with torch.no_grad():
        states = network(input_ids=x).last_hidden_state
    expected = torch.nn.functional.normalize(states, dim=-1)
    torch.testing.assert_close(latents, expected, atol=2e-3, rtol=0)
