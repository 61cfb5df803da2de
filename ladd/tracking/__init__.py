"""MLflow: one run per trained model and one per evaluation, below one run of the suite. Nothing else imports mlflow.

A run is found by the fingerprint of its stage, so a resumed or repeated stage goes on in the run that it has, and
no metric point is logged twice. No stage waits for a server that does not answer. Everything is absolute: workers and
work trees have other working directories.
"""

import logging
import os

# A tracking client that calls home would be the first surprise of a user; mlflow reads these on import.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
# MLflow asks a server that does not answer for minutes. What is to be filed is tried again by `Background` instead,
# which holds nobody up, and looks first at what is there: the answer may be lost to a request that was carried out.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

# ruff: noqa: E402
from ladd.tracking.checkpoints import LoggedCheckpoint, find_checkpoint
from ladd.tracking.experiment import (
    Evaluation,
    Experiment,
    LoggedRun,
    current_evaluations,
    existing_experiment,
    find_run,
)
from ladd.tracking.models import register_model, registered_folder
from ladd.tracking.run import TrackedRun, flatten, flow_tags
from ladd.tracking.runs import ListedRun, list_runs, tracked_suites
from ladd.tracking.store import answering, check_server, tracking_uri
from ladd.tracking.view import runs_address
