"""What figures have on their axes: a metric of samples, and what the samples cost."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ladd.evaluation.rows import COSTS
from ladd.metrics.base import Metric
from ladd.report.labels import metrics

TOKEN_STEPS = "token_steps"


class Cost(NamedTuple):
    """A measure of what a sample costs."""

    title: str  # of an axis
    unit: str  # of a budget, in a sentence
    rule: str  # what is charged
    stem: str  # of the files of figures against it


BACKBONE, MADE, ALL, SECONDS = COSTS  # the paper's tables charge backbones alone, and every step
PRICES = {
    BACKBONE: Cost(
        "backbone GFLOPs per sample ($10^9$ multiply-adds, a pass for every step)",
        "backbone GFLOPs",
        "as the paper charges: a pass for every step, whether or not it reveals anything",
        "backbone",
    ),
    MADE: Cost(
        "backbone GFLOPs made per sample ($10^9$ multiply-adds, latent passes included)",
        "backbone GFLOPs made",
        "passes that were needed: none where a step reveals nothing",
        "made",
    ),
    ALL: Cost(
        "true GFLOPs per sample (2 per multiply-add, head and latent passes included)",
        "true GFLOPs",
        "passes that were needed, and heads",
        "compute",
    ),
    SECONDS: Cost("seconds per sample", "seconds", "each sample makes its own passes", "seconds"),
}


class Figure(NamedTuple):
    """A metric of samples upwards, against token steps or a cost."""

    metric: type[Metric]
    x: str

    @property
    def stem(self) -> str:
        """Of its file."""
        name = self.metric.name.replace("_", "-")
        return name if self.x == TOKEN_STEPS else f"{name}-{PRICES[self.x].stem}"

    @property
    def caption(self) -> str:
        """What it shows, and where good models are."""
        against = "token steps" if self.x == TOKEN_STEPS else f"{PRICES[self.x].unit} ({PRICES[self.x].rule})"
        equal = ", at equal diversity" * (self.metric.role == "quality")
        return f"{self.metric.short} against {against}; {self.metric.better} is better{equal}"

    @property
    def across(self) -> str:
        """Title of the horizontal axis."""
        return "token denoising steps" if self.x == TOKEN_STEPS else PRICES[self.x].title

    @property
    def up(self) -> str:
        """Title of the vertical axis."""
        return self.metric.axis or self.metric.short

    @property
    def scale(self) -> Literal["log", "linear"]:
        """Of the vertical axis: logarithmic, but for a metric that asks for a linear one by its attribute ``scale``,
        such as a share, which may be 0."""
        return getattr(self.metric, "scale", "log")


def figures() -> list[Figure]:
    """All that registered metrics ask for, in the order of the page."""
    return [Figure(metric, x) for metric in metrics() for x in metric.against]
