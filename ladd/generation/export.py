"""A trained model handed on: into a folder, into MLflow's registry of models, onto the Hugging Face hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ladd.config.replicates import without_replicate
from ladd.generation.model import Model
from ladd.generation.served import defaults_of, example_of
from ladd.stages.planned import trained_by

LOADER = "ladd.generation.served"


def register(model: Model, name: str, *, alias: str | None = None) -> str:
    """Register a model in MLflow under a name, as a new version; returns its URI, models:/NAME/VERSION.

    It is filed under the run that trained it, or under that of the suite where MLflow has none.

    Args:
        alias: that shall name this version from now on.
    Raises:
        ConfigError: the registry takes no such name.
        TrackingError: the tracking server does not answer.
    """
    from ladd.tracking import register_model  # here, as mlflow takes seconds to import

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / without_replicate(model.key)
        model.save_pretrained(folder)
        return register_model(
            Path(model.suite.root),
            suite=model.suite.suite,
            stage=f"{trained_by(model.suite, model.key)}@{model.key}",
            folder=folder,
            name=name,
            alias=alias,
            loader=LOADER,
            example=example_of(),
            parameters=defaults_of(model),
            tags={"commit": str(model.origin.get("commit")), "sha256": str(model.origin.get("weights_sha256"))},
        )
