"""Models in MLflow's registry: whole ones, that MLflow can serve. Checkpoints are in `ladd.tracking.checkpoints`."""

import importlib.metadata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from ladd.errors import ArtifactError, ConfigError
from ladd.tracking.experiment import CURRENT, STATE, Experiment, search
from ladd.tracking.store import answering, check_server, existing_store, tracking_uri, variable

FLAVOUR = "python_function"


def register_model(
    root: Path,
    *,
    suite: str,
    stage: str,
    folder: Path,
    name: str,
    alias: str | None,
    loader: str,
    example: Mapping[str, Sequence[str]],
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
) -> str:
    """Log a folder as a pyfunc model with signature and example, and make it a new version of a registered model.

    Args:
        suite, stage: whose run it is filed under, NAME@KEY; under that of the suite where there is none.
        folder: that the model is loaded from.
        name, alias: in the registry.
        loader: module whose `_load_pyfunc` makes the model of the folder.
        example: a table of text, by its columns.
        parameters: of predictions, with their defaults.
        tags: of the version.
    Returns:
        models:/NAME/VERSION.
    Raises:
        ConfigError: MLflow takes no such name.
        TrackingError: the server does not answer, or refuses.
    """
    import pandas as pd

    uri = tracking_uri(root)
    check_server(uri)
    with answering(uri), _refusals(name):
        experiment = Experiment(root, suite)
        with _store(uri):
            from mlflow.models import Model

            logged = Model.log(
                None,
                flavor=mlflow.pyfunc,
                name=folder.name,
                run_id=_run_of(experiment, stage),
                registered_model_name=name,
                loader_module=loader,
                data_path=str(folder),
                signature=_signature(example, parameters),
                input_example=(pd.DataFrame(dict(example)), dict(parameters)),
                pip_requirements=[f"ladd=={importlib.metadata.version('ladd')}"],
            )
        version = str(logged.registered_model_version)
        for key, value in tags.items():
            experiment.client.set_model_version_tag(name, version, key, value)
        if alias is not None:
            experiment.client.set_registered_model_alias(name, alias, version)
    return f"models:/{name}/{version}"


def _signature(example: Mapping[str, Sequence[str]], parameters: Mapping[str, Any]) -> Any:
    """A table of text in, with the parameters of predictions and their defaults; what comes out is not said."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    kinds = {int: DataType.long, float: DataType.double, str: DataType.string}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, column) for column in example]),
        params=ParamSchema([ParamSpec(key, kinds[type(value)], value) for key, value in parameters.items()]),
    )


def registered_folder(root: Path, uri: str) -> Path:
    """The folder that a registered model was made of, on this machine.

    Args:
        uri: models:/NAME@ALIAS or models:/NAME/VERSION.
    Raises:
        ArtifactError: there is no tracking database, or it has no such model.
    """
    existing_store(root, uri)
    store = tracking_uri(root)
    with answering(store), _store(store):
        try:
            place = Path(mlflow.artifacts.download_artifacts(uri))
            from mlflow.models import Model

            data = Model.load(str(place)).flavors[FLAVOUR]["data"]
        except (MlflowException, KeyError) as error:
            raise ArtifactError(f"{uri} is no model that ladd registered in {store}: {error}{_known(store)}") from error
    return place / data


def _known(uri: str) -> str:
    names = sorted(model.name for model in MlflowClient(tracking_uri=uri).search_registered_models())
    return f"; it has {names}"


def _run_of(experiment: Experiment, stage: str) -> str:
    """The run that trained a model as the suite is now, else the last that did, else that of the suite."""
    runs = sorted(
        search(experiment.client, experiment.id, f"tags.`dvc.stage` = '{stage}'"),
        key=lambda run: (run.data.tags.get(STATE) == CURRENT, run.info.start_time),
    )
    return runs[-1].info.run_id if runs else experiment.parent_id


@contextmanager
def _store(uri: str) -> Iterator[None]:
    """Functions of MLflow that take the store from nowhere else work on this one."""
    before = mlflow.get_tracking_uri()
    with variable("MLFLOW_TRACKING_URI", uri), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about type hints of its own, on import
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """A name that the registry does not take is the user's to correct."""
    try:
        yield
    except MlflowException as error:
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise ConfigError(
                f"{name!r}: MLflow takes no such name or alias ({error.message}); choose another"
            ) from error
        raise
