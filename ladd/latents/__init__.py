"""What the latents are: learned encoders, vector quantiser, frozen codebook."""

from ladd.latents.codebook import Codebook
from ladd.latents.model import LatentModel

__all__ = ["Codebook", "LatentModel"]
