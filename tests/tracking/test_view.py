"""What MLflow shows first of a suite: columns, a description, who ran what."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from ladd.errors import PreemptedError
from ladd.tracking import Experiment, runs_address, tracked_suites
from ladd.tracking.view import NOTE, STATE, experiment_tags, note, origin_tags

COMMIT = "0123456789" * 4
METRICS = {"token_elbo/mdlm": 0.5, "full_bound/di-seq": 0.6, "swd/mdlm/steps_1": 0.05, "swd/mdlm/steps_2": 0.04}


def publish(experiment: Experiment, folder, text: str) -> dict[str, str]:
    """Show a table on the run of the suite; its tags."""
    (folder / "compare.txt").write_text(text)
    tags = {"git.commit": COMMIT}
    experiment.publish(
        table=("compare.json", ["a"], [[1]]), files=[(folder / "compare.txt", None)], metrics=METRICS, tags=tags
    )
    return experiment.client.get_run(experiment.parent_id).data.tags


def test_table_is_in_the_order_of_a_metric_and_has_columns_of_what_was_measured(root, tmp_path):
    experiment = Experiment(root, "columns")
    publish(experiment, tmp_path, "the table\n")
    state = json.loads(experiment.client.get_experiment(experiment.id).tags[STATE])
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`swd`", True)  # else runs are folded
    assert state["selectedColumns"][:2] == ["metrics.`swd`", "metrics.`swd/stderr`"]
    assert "metrics.`full_bound`" in state["selectedColumns"]
    assert {"tags.`role`", "params.`model.training.steps`"} < set(state["selectedColumns"])


def test_metrics_in_sight_are_few_and_the_last_ones():
    state = json.loads(experiment_tags(["a", "b", "c", "b", "d"], ("c", True))[STATE])
    shown = [each for each in state["selectedColumns"] if each.startswith("metrics.") and "stderr" not in each]
    assert shown == ["metrics.`c`", "metrics.`d`", "metrics.`b`"]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`c`", False)


def test_address_names_the_state_of_the_table_once_it_is_there(root, tmp_path):
    """MLflow shows an error where it is not."""
    experiment = Experiment(root, "address")

    def parts() -> dict[str, list[str]]:
        address = runs_address("http://server", tracked_suites(root)["address"])
        assert address.startswith(f"http://server/#/experiments/{experiment.id}/runs?")
        return parse_qs(urlsplit(urlsplit(address).fragment).query)

    assert parts() == {"workflowType": ["machine_learning"]}
    publish(experiment, tmp_path, "the table\n")
    assert parts() == {"workflowType": ["machine_learning"], "viewStateShareKey": ["results"]}


def test_suites_are_listed_without_the_experiment_of_mlflow_itself(root, tmp_path):
    Experiment(root, "one")
    publish(Experiment(root, "two"), tmp_path, "the table\n")
    listed = list(tracked_suites(root))
    assert listed[0] == "two"
    assert "one" in listed
    assert "Default" not in listed


def test_run_of_the_suite_is_described_and_says_who_made_it(root, tmp_path):
    tags = publish(Experiment(root, "described"), tmp_path, "Claims\nall hold\n\nSWD\n1 2\n")
    assert "**described**" in tags[NOTE]
    assert "```\nClaims\nall hold\n\nSWD\n1 2\n```" in tags[NOTE]
    assert (tags["mlflow.source.name"], tags["mlflow.source.git.commit"]) == ("ladd compare", COMMIT)


def test_description_is_renewed_unless_somebody_wrote_it(root, tmp_path):
    experiment = Experiment(root, "renewed")
    publish(experiment, tmp_path, "old\n")
    assert "new" in publish(experiment, tmp_path, "new\n")[NOTE]
    experiment.client.set_tag(experiment.parent_id, NOTE, "read this")
    assert publish(experiment, tmp_path, "newer\n")[NOTE] == "read this"


def test_long_table_is_cut_between_its_blocks():
    text = note("suite", "\n\n".join(f"{number:04}" * 200 for number in range(20)))
    assert 6000 < len(text) < 8000
    blocks = text.split("```")[1].strip().split("\n\n")
    assert {len(block) for block in blocks} == {800}


def test_training_says_who_ran_it(start, stored, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "somebody")
    start(tags={"dvc.stage": "stage2@di"})
    (run,) = stored().runs()
    assert run.data.tags["mlflow.user"] == "somebody"
    assert run.data.tags["mlflow.source.name"] == "ladd stage2@di"


def test_nobody_is_named_where_the_user_has_no_name(monkeypatch):
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert origin_tags("", "none") == {"mlflow.source.type": "LOCAL", "mlflow.source.name": "ladd"}


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "KILLED"), (PreemptedError, "KILLED"), (ValueError, "FAILED")],
)
def test_who_is_asked_to_end_has_not_failed(start, stored, error, status):
    with pytest.raises(error), start():
        raise error
    (run,) = stored().runs()
    assert run.info.status == status
