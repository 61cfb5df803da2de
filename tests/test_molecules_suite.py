"""suites/molecules from its settings to table and pages, every size cut down, on a few hundred molecules."""

from __future__ import annotations

import contextlib
from pathlib import Path

import polars as pl
import pytest

from ladd.dry_run import shrink
from ladd.launch.overrides import read_values
from ladd.yaml_files import write_yaml
from tests.stages.tiny import REPOSITORY, link_suite, run_all
from tests.tasks.molecules.small import data_values, write_files

MODELS = {"ar", "mdlm", "mdlm-hit", "mdlm-blocks", "di-joint", "di-seq", "di-hit", "co-joint", "co-seq", "co-hit"}
DRAWN = {"real-moses", "factorised-moses", "ngram-moses"}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Folder of the suite, where every stage has run; also the working directory."""
    repository = tmp_path_factory.mktemp("repository")
    write_files(repository / "asset")
    values, _ = shrink(
        read_values(REPOSITORY / "suites/molecules/params.yaml"),
        read_values(REPOSITORY / "suites/text-demo/params.yaml"),
    )
    data = values["data"]["moses"]
    small = data_values(repository / "asset", longer="drop", tokens=data["tokens"])
    values["data"]["moses"] = data | small | {"train": None, "validation": None}
    values["data"]["moses"]["tokenizer"] = {"kind": "regex", "vocabulary": 18}
    folder = repository / "suites/molecules"
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(write_yaml(values))
    link_suite(repository, folder)
    with contextlib.chdir(folder):
        run_all()
        yield folder


def test_all_models_and_references_have_all_metrics(suite):
    table = pl.read_csv("results/compare.csv", infer_schema_length=None)
    wanted = set(table.filter(model="real-moses")["metric"])
    assert len(wanted) == 14
    for model in MODELS | DRAWN:
        assert wanted <= set(table.filter(model=model)["metric"]), model
    assert {row for row in table["model"] if row.startswith("published-")} >= {"published-charrnn-moses"}
    assert set(table.filter(metric="token_elbo")["model"]) == MODELS
    assert table["value"].is_finite().all()


def test_pages_show_the_metrics_and_the_molecules(suite):
    text, page = Path("results/compare.txt").read_text(), Path("results/report.html").read_text()
    for words in ("Valid molecules, percent of samples", "FCD to the test set", "published-charrnn-moses"):
        assert words in text
        assert words in page
    samples = Path("results/samples.html").read_text()
    assert samples.count('<figure class="good"><svg') >= 4  # molecules of the training set
    assert '<figure class="bad"><figcaption>not valid: ' in samples
