"""Share of samples that the training data do not have."""

from __future__ import annotations

import torch

from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.strings import StringMetric


class NewRows(StringMetric):
    """Far below the value of held-out data, samples are copies of training strings."""

    name = "new_rows"
    version = "1"
    title = "Strings that are not in the training data, percent of the samples"
    meaning = "below the value of real held-out data, a model copies; the nearer to real data the better"
    factor, digits, order = 100.0, 1, 33
    short, better = "new", "higher"

    def measure(self, samples: Samples) -> Estimate:
        known = torch.tensor(self.source(samples).is_known(samples.tokens))
        return estimate((~known).double())
