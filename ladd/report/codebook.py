"""Figure of codebook use."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes

from ladd.errors import ArtifactError
from ladd.report.style import CYCLE, figure_to, note, side_legend


def plot_codebook(usage: dict[str, list[float]], path: Path) -> None:
    """How evenly each discrete latent uses its codes.

    Args:
        usage: by latent, the probability of each of its K codes.

    Raises:
        ArtifactError: there is no latent, or probabilities are negative or do not sum to 1.
    """
    if not usage:
        raise ArtifactError("no codebook to plot; train a discrete latent first")
    with figure_to(path, 8.6, 3.6) as figure:
        axes = figure.add_subplot()
        for (name, probabilities), colour in zip(usage.items(), CYCLE * len(usage), strict=False):
            _usage(axes, name, probabilities, colour)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0.5, max(map(len, usage.values())) + 0.5)
        axes.set_xlabel("codes, most used first")
        axes.set_ylabel("probability of the code")
        note(axes, "dashed: uniform use, 1/K")
        side_legend(figure, [axes])


def _usage(axes: Axes, name: str, probabilities: list[float], colour: str) -> None:
    if min(probabilities, default=-1) < 0 or not math.isclose(sum(probabilities), 1, abs_tol=1e-4):
        raise ArtifactError(f"code probabilities of {name} must be at least 0 and sum to 1, not {sum(probabilities)}")
    size, used = len(probabilities), [p for p in sorted(probabilities, reverse=True) if p > 0]
    perplexity = math.exp(-sum(p * math.log(p) for p in used))
    label = f"{name}\nperplexity {perplexity:.1f} of {size},\n{len(used)} codes used"
    falling = sorted(probabilities, reverse=True)
    axes.stairs(falling, [i + 0.5 for i in range(size + 1)], color=colour, linewidth=1.6, label=label)
    axes.stairs(falling, [i + 0.5 for i in range(size + 1)], color=colour, alpha=0.12, fill=True)
    axes.plot([0.5, size + 0.5], [1 / size] * 2, color=colour, linestyle=(0, (4, 3)), linewidth=1.1)
