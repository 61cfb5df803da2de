"""Share of samples with a token behind padding."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric, misplaced


class MisplacedPad(MoleculeMetric):
    """Such a row is no string, and so not valid: a row of near nothing but padding would else pass for methane."""

    name = "misplaced_pad"
    version = "1"
    title = "Samples with a token behind padding, percent"
    meaning = "rows that are no string; 0 is best"
    factor, digits, order = 100.0, 1, 39
    short, real_label = "misplaced", "Train set"

    def measure(self, samples: Samples) -> Estimate:
        return estimate(misplaced(samples.tokens, self.source(samples).pad).double())
