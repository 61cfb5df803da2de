"""Samplers: one short function per inference schedule, all with the same shape of signature.

Each takes a model, the starting tokens (masked where something is to be generated), per-sample noise, the
schedules and the options, and returns `Samples`. Times run uniformly from 1 to 0; the last step reveals all that
is left, so there is no clean-up pass. Every sample counts the network passes that were really made for it:
a step that reveals nothing in a sample needs no pass.
"""

from ladd.samplers.autoregressive import sample_autoregressive
from ladd.samplers.batches import Sampler, sample_in_batches
from ladd.samplers.joint import sample_joint_continuous, sample_joint_discrete
from ladd.samplers.masked import sample_masked
from ladd.samplers.sequential import (
    sample_sequential_continuous,
    sample_sequential_discrete,
)
from ladd.samplers.steps import Samples, SamplingOptions

__all__ = [
    "Sampler",
    "Samples",
    "SamplingOptions",
    "sample_autoregressive",
    "sample_in_batches",
    "sample_joint_continuous",
    "sample_joint_discrete",
    "sample_masked",
    "sample_sequential_continuous",
    "sample_sequential_discrete",
]
