"""Errors that a user can act on: each message names the key or file, the value and the remedy."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence

MODEL_REMEDY = "a file of it is cut or damaged: remove what was fetched and fetch it again, or name another model"


class LaddError(Exception):
    """Base of all errors raised on purpose; the command line prints them without a traceback."""


class ConfigError(LaddError):
    """params.yaml is wrong."""


class ArtifactError(LaddError):
    """A file that a stage reads is missing, incomplete or not what its manifest says."""


class PlanError(LaddError):
    """plan.json is not that of the settings and the code: DVC would record another stage than the one that runs."""


class ChangedError(LaddError):
    """What a stage depends on was edited while it ran: DVC would record the edit as what ran."""


class AssetError(LaddError):
    """A corpus, tokenizer or model from outside cannot be had, or is not the one that params.yaml pins."""


class TemporaryError(LaddError):
    """A later try may succeed."""


class BusyError(TemporaryError):
    """Another process is running the same stage with the same inputs."""


class PreemptedError(TemporaryError):
    """The process was asked to end; its work is saved and goes on from there."""


class SamplingError(LaddError):
    """A draw cannot be made, because a network gave something that is not a distribution."""


class TrainingError(LaddError):
    """Training cannot go on, for example because the loss is not finite."""


class ClusterError(LaddError):
    """Ray is not there, or does not do what is asked of it."""


class CheckpointError(LaddError):
    """A checkpoint could not be written."""


class TrackingError(LaddError):
    """The tracking server does not answer, or refuses what is asked of it."""


class StorageError(LaddError):
    """A file cannot be read or written: the disk is full, or permission is missing."""


class StoreError(LaddError):
    """The store that driver and workers share does not answer, or refuses."""


class LaunchError(LaddError):
    """A launch cannot be made ready: the code is not committed, or git or DVC refuse."""


class StageError(LaddError):
    """A stage of the pipeline failed in a process of its own; its last lines of output say why."""

    def __init__(self, stage: str, lines: Sequence[str]):
        super().__init__(stage, lines)
        self.stage, self.lines = stage, list(lines)

    def __str__(self) -> str:
        return "\n".join([f"{self.stage} failed; its last lines of output:", *(f"  {line}" for line in self.lines)])


@contextlib.contextmanager
def reading(what: object, remedy: str) -> Iterator[None]:
    """Turn whatever a library raises over a broken file into one line that names the file and the remedy. Raises
    ArtifactError: anything but an error of ours, or a lack of memory, was raised inside."""
    try:
        yield
    except (LaddError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise ArtifactError(f"{what} cannot be read ({type(error).__name__}: {said}); {remedy}") from error


def nearest(name: object, known: Iterable[str]) -> str:
    """What to add to a message about an unknown name: the name that was probably meant, or nothing."""
    names = list(known)
    if not isinstance(name, str) or len(name) >= 200 or name in names:  # it is known, and unknown in this place
        return ""
    found = difflib.get_close_matches(name, names, 1)
    return f" (did you mean {found[0]!r}?)" if found else ""
