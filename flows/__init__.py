"""Prefect flows: they put the stages of DVC's graph in order and show them, and compute nothing.

Importing the package sets what Prefect, MLflow and DVC read from the environment when they are imported.
"""

from flows import environment
from flows.environment import SecretError

try:
    environment.apply()
except SecretError as error:
    raise SystemExit(f"flows: {error}") from None
