"""What MLflow shows first of a suite: the table of its runs with chosen columns, and a description of its results.

MLflow keeps the state of a table, which its button "Share" makes, in a tag of the experiment; an address that names the
tag opens the table in that state. The tag of its kind opens the runs, and not a page about traces of language models.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import re
from collections.abc import Iterable
from typing import Any

from mlflow.entities import Experiment

KIND = {"mlflow.experimentKind": "custom_model_development"}
VIEW = "results"  # name of the state of the table
STATE = f"mlflow.sharedViewState.{VIEW}"
NOTE = "mlflow.note.content"  # shown as Markdown
TAGS = ("role", "schedule", "L", "K", "ladd.state")
PARAMETERS = ("model.network.width", "model.network.layers", "model.training.steps", "model.training.batch")
_METRICS = 3  # of them in sight, the first with its error
_LONGEST = 7500  # characters of a note; MLflow takes 8,000
_HEAD = "Results of the suite"


def experiment_tags(metrics: Iterable[str], main: tuple[str, bool] = ("", False)) -> dict[str, str]:
    """Tags of an experiment that choose what its table shows: runs by the main metric, the best first.

    MLflow folds runs below that of their suite, whatever a state says, unless they are in the order of a metric.

    Args:
        metrics: the most important last, as the bounds come first.
        main: the main metric, and whether higher values of it are better; without it, the last of ``metrics``.
    """
    every = list(dict.fromkeys(metrics))[::-1]
    names = [*(name for name in every if name == main[0]), *(name for name in every if name != main[0])][:_METRICS]
    shown = [*names[:1], *(f"{name}/stderr" for name in names[:1]), *names[1:]]
    columns = [_column("metrics", name) for name in shown]
    columns += [_column("tags", name) for name in TAGS]
    columns += [_column("params", name) for name in PARAMETERS]
    state: dict[str, Any] = {"selectedColumns": columns}
    if names:
        state |= {"orderByKey": _column("metrics", names[0]), "orderByAsc": not main[1]}
    return KIND | {STATE: json.dumps(state)}


def _column(kind: str, name: str) -> str:
    """As MLflow's pages write it."""
    return f"{kind}.`{name}`"


def runs_address(server: str, experiment: Experiment) -> str:
    """Of the table of an experiment's runs on a server. MLflow shows an error where an address names a state that is
    not there, as before the first `compare`."""
    shown = f"&viewStateShareKey={VIEW}" if STATE in experiment.tags else ""
    return f"{server}/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning{shown}"


def origin_tags(stage: str, commit: str) -> dict[str, str]:
    """What the columns User, Source and Version of a run show; `MlflowClient` leaves them empty.

    Args:
        stage: NAME@KEY, or "".
        commit: 40 hex digits, or anything else where there is none.
    """
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": f"ladd {stage}".strip()}
    if re.fullmatch("[0-9a-f]{40}", commit):
        tags["mlflow.source.git.commit"] = commit
    with contextlib.suppress(OSError, KeyError):  # a user without a name, as in a container
        tags["mlflow.user"] = getpass.getuser()
    return tags


def note(suite: str, table: str) -> str:
    """The description of the run of a suite.

    Args:
        table: compare.txt, whose blocks have empty lines between them: claims, if there are any, then results.
    """
    head = (
        f"{_HEAD} **{suite}**, which `compare` shows here: all measurements as a table (`compare.json`), "
        "`report.html` with claims and figures, the figures in `plots`. Runs of trainings and evaluations are below "
        "this one.\n"
    )
    kept, left = [], _LONGEST - len(head)
    for block in table.strip().split("\n\n"):
        if (left := left - len(block) - 2) < 0:
            break
        kept.append(block)
    return head + "\n```\n" + "\n\n".join(kept) + "\n```\n" if kept else head


def is_ours(written: str | None) -> bool:
    """Whether a note that is there may be replaced, or somebody has written it."""
    return not written or written.startswith(_HEAD)
