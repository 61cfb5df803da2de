"""Text from trained models, as the sweeps draw it: what `ladd generate` does once its arguments are read."""

from ladd.generation.generate import Generated, Request, generate
