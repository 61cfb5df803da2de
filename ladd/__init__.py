"""Latent-augmented discrete diffusion: method, samplers, exact evaluation and the stages of its pipeline.

`import ladd` gives the names of docs/api.md, each imported where it is first used. This file may hold imports and
nothing else: any other statement would count as code that every stage runs (`ladd.stages.code`).
"""

from typing import TYPE_CHECKING

from ladd.lazy import list_names as __dir__
from ladd.lazy import look_up as __getattr__

if TYPE_CHECKING:
    from ladd.errors import LaddError
    from ladd.generation.denoiser import sample
    from ladd.generation.draw import Drawn
    from ladd.generation.load import load
    from ladd.generation.model import Latents, Model

    __version__: str

__all__ = ["Drawn", "LaddError", "Latents", "Model", "__version__", "load", "sample"]
