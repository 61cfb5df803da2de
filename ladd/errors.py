"""Errors that a user can act on: each message names the key or file, the value and the remedy."""


class LaddError(Exception):
    """Base of all errors raised on purpose; the command line prints them without a traceback."""


class ConfigError(LaddError):
    """params.yaml is wrong."""


class ArtifactError(LaddError):
    """A file that a stage reads is missing, incomplete or not what its manifest says."""


class AssetError(LaddError):
    """A corpus, tokenizer or model from outside cannot be had, or is not the one that params.yaml pins."""


class BusyError(LaddError):
    """Another process is running the same stage with the same inputs."""


class SamplingError(LaddError):
    """A draw cannot be made, because a network gave something that is not a distribution."""


class TrainingError(LaddError):
    """Training cannot go on, for example because the loss is not finite."""
