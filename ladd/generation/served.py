"""What MLflow's flavour `pyfunc` loads: a trained model as a function of a table, for `mlflow models serve`.

Row i of a table is sample i of `Model.sample` with the same seed, whatever else is in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ladd.errors import ConfigError
from ladd.generation.folder import open_model
from ladd.generation.model import Model

GIVEN = "given"  # column of prompts; nothing is given where it is empty


class Served:
    """A model that MLflow asks for predictions."""

    def __init__(self, model: Model):
        self.model, self.defaults = model, defaults_of(model)

    def predict(self, rows: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Samples, a row for each row.

        Args:
            rows: pandas table with a column `given`.
            params: seed, steps, sampler and temperature, as `Model.sample` takes them; what is left out, or is the
                default, is that of the model.
        Returns:
            pandas table with the columns text and tokens, ids (N,).
        """
        import pandas as pd

        if GIVEN not in rows:
            raise ConfigError(
                f"the table has the columns {list(rows)}; write one called {GIVEN!r}, of prompts or empty"
            )
        texts = [text if isinstance(text, str) else "" for text in rows[GIVEN]]
        starts = torch.cat([self.model.starting_ids(text or None, 1) for text in texts])
        asked = {key: value for key, value in (params or {}).items() if self.defaults.get(key) != value}
        drawn = self.model.sample(len(texts), given=starts, **asked)
        return pd.DataFrame({"text": drawn.text, "tokens": drawn.tokens.tolist()})


def defaults_of(model: Model) -> dict[str, Any]:
    """Parameters of a served model, with their defaults."""
    default = model.default
    steps, temperature = max(default.token_steps), default.temperature
    return {"seed": 0, "steps": steps, "sampler": default.schedule, "temperature": temperature}


def example_of() -> dict[str, list[str]]:
    """A table that any model takes."""
    return {GIVEN: ["", ""]}


def _load_pyfunc(path: str) -> Served:
    """For MLflow, which calls it by this name: what was registered was trusted by whoever registered it."""
    return Served(open_model(Path(path), trust_code=True))
