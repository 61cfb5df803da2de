"""A trained model as one folder: weights, settings, tokenizer and card; it needs nothing else to sample.

config.json               settings of this model alone, in the form of params.yaml, and where it comes from
model.safetensors         the network
prior-KEY.safetensors     of each prior that draws its latents
tokenizer/...             whatever its task reads tokens with, as its data have it
reduction.safetensors     of the states of a pretrained encoder, which encoding and bounds fetch
README.md                 the card
*.py, params.yaml         of a suite with modules of its own
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ladd.config import ComputeConfig, Suite, check_suite
from ladd.config.replicates import without_replicate
from ladd.errors import ArtifactError, ConfigError, reading
from ladd.files import save_tensors, write_atomically, write_json
from ladd.generation.card import card
from ladd.latents.prior import build_prior
from ladd.registry import PARAMS, suite_folder
from ladd.stages.artifacts import load_weights, use_device
from ladd.systems.base import System
from ladd.yaml_files import write_yaml

if TYPE_CHECKING:
    from ladd.generation.model import Model

CONFIG, NETWORK, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1  # of the folder
OURS = "ladd"  # key of CONFIG that says that a folder is one of these
REMEDY = "it is cut, damaged or of another kind of model; save or fetch it again"


def save_model(model: Model, folder: Path) -> None:
    """Write a model into a folder; one that is there is replaced. Raises ConfigError: it holds anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    if (other := next(folder.iterdir(), None)) and not is_model(folder):
        raise ConfigError(f"{folder} is no exported model and holds {other.name}; name a folder that is new or empty")
    about = {"version": version("ladd"), "format": FORMAT, "name": plain(model.name), "origin": model.origin}
    settings = alone(model.suite, model.key)
    write_json(folder / CONFIG, {OURS: about, "settings": settings})
    state = {name: tensor for name, tensor in model.network.state_dict().items() if not name.startswith("prior.")}
    save_tensors(folder / NETWORK, state)
    for key, prior in model.priors.items():
        save_tensors(folder / prior_file(without_replicate(key)), prior.state_dict())
    for name, path in model.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if path.resolve() != (folder / name).resolve():
            shutil.copyfile(path, folder / name)
    if any(name.endswith(".py") for name in model.files):
        write_atomically(folder / PARAMS, write_yaml(settings).encode())  # its modules register
    write_atomically(folder / CARD, card(model).encode())


def open_model(folder: Path, *, device: str | None = None, trust_code: bool = False) -> Model:
    """Read what `save_model` wrote.

    Args:
        device: "cpu" or "cuda"; None for that of the training where it is here, else the CPU.
        trust_code: whether modules of the suite in the folder may run.
    Raises:
        ArtifactError: the folder is no such model, or damaged.
        ConfigError: it holds code that is not trusted.
    """
    from ladd.generation.model import Model  # it needs this module

    folder = folder.resolve()
    about, settings = read_config(folder)
    if not trust_code and (code := sorted(path.name for path in folder.glob("*.py"))):
        raise ConfigError(
            f"{folder} holds code of its suite ({', '.join(code)}), which loading it runs; read it, and load the model "
            "with trust_code=True"
        )
    with suite_folder(folder), reading(folder / CONFIG, REMEDY):
        suite = check_suite(settings, folder / CONFIG).model_copy(update={"root": str(folder)})
        name = str(about["name"])
        key = model_of(suite, name)
        network, where = System.of(suite, key).build(), chosen_device(suite.compute, device)
        load_weights(network, folder / NETWORK)
        priors = {}
        for prior in suite.priors:
            priors[prior] = build_prior(suite.priors[prior], suite.latent_shape(suite.priors[prior].latents))
            load_weights(priors[prior], folder / prior_file(prior))
    known = (CONFIG, NETWORK, CARD, PARAMS, *map(prior_file, priors))
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in known and not _is_hidden(path, folder)
    }
    return Model(
        suite,
        name,
        network.eval().to(where),
        home=folder,
        task_folder=folder,
        priors={key: prior.eval().to(where) for key, prior in priors.items()},
        files=files,
        origin=about.get("origin", {}),
    )


def fetch_model(repository: str, **options: Any) -> Path:
    """The folder of a model of the Hugging Face hub, in its cache; ``options`` are those of `snapshot_download`.

    Raises:
        ArtifactError: it cannot be had.
    """
    import huggingface_hub

    with reading(
        f"{repository}, taken for a model of the Hugging Face hub,", "correct the name, or connect this machine"
    ):
        return Path(huggingface_hub.snapshot_download(repository, **options))


def read_config(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a folder says of itself, and the settings of its model. Raises ArtifactError: it is no such folder."""
    with reading(folder / CONFIG, REMEDY):
        config = json.loads((folder / CONFIG).read_text())
        about, settings = dict(config[OURS]), config["settings"]
    if about.get("format") != FORMAT:
        raise ArtifactError(
            f"{folder / CONFIG}: format {about.get('format')!r}, and this version of ladd reads {FORMAT}; install "
            f"version {about.get('version')}"
        )
    return about, settings


def is_model(folder: Path) -> bool:
    """Whether a folder is one that `save_model` wrote."""
    try:
        return OURS in json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError, TypeError):
        return False


def alone(suite: Suite, key: str) -> dict[str, Any]:
    """Settings of one model with what it is made of, in the form of a whole params.yaml; of a replicate, those of all.

    Its sweeps are kept: their settings are what it is sampled with.
    """
    key, suite = without_replicate(key), suite.written
    values = suite.model_dump(mode="json")
    config = suite.model(key)
    latents = config.latents_name
    view = None if latents is None else suite.view_of(latents)
    kept: Mapping[str, list[str]] = {
        "data": [config.data],
        "encoders": [] if view is None else [view[0]],
        "latents": [latents] if latents in suite.latents else [],
        "codebooks": [latents] if latents in suite.codebooks else [],
        "priors": suite.priors_of(latents) if latents is not None else [],
        "baselines": [each for each in (key, getattr(config, "start", None)) if each in suite.baselines],
        "models": [key] if key in suite.models else [],
        "sweeps": [name for name, sweep in suite.sweeps.items() if sweep.model == key],
    }
    values |= {block: {name: values[block][name] for name in names} for block, names in kept.items()}
    evaluation = suite.evaluation_of(config.data).model_dump(mode="json")
    return values | {"root": ".", "replicates": 1, "evaluation": evaluation}


def model_of(suite: Suite, name: str) -> str:
    """Key of the model that a sweep or model of that name, such as "sweeps.di-seq", is of."""
    block, _, key = name.partition(".")
    return suite.sweeps[key].model if block == "sweeps" else key


def plain(name: str) -> str:
    """A name without the number of a replicate."""
    block, _, key = name.rpartition(".")
    return f"{block}.{without_replicate(key)}"


def prior_file(key: str) -> str:
    """Name of the weights of a prior."""
    return f"prior-{key}.safetensors"


def chosen_device(config: ComputeConfig, device: str | None) -> torch.device:
    """That which is asked for, or else that of the settings where it is here. Raises ConfigError: it is not here."""
    if device is None:
        device = config.device if config.device == "cpu" or torch.cuda.is_available() else "cpu"
    elif device not in ("cpu", "cuda"):
        raise ConfigError(f"device: {device!r}; write 'cpu' or 'cuda'")
    threads = torch.get_num_threads()  # a library leaves them as they are
    return use_device(config.model_copy(update={"device": device, "threads": threads}))


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
