"""Fewer training steps, in a block that stays valid."""

from __future__ import annotations

from ladd.launch.values import Values


def shorten(trained: Values, steps: int | None) -> Values:
    """A block with a training (latents, a baseline, a model) or steps of its own (a codebook), trained for ``steps``.

    With fewer steps than before, warm-up and the start of the quantiser come as much earlier, so that the block stays
    valid; with more they stay. Validation and checkpoints keep their intervals and their cost. The argument stays as it
    is.
    """
    if steps is None:
        return trained
    if "training" not in trained:
        return trained | {"steps": steps}
    training = trained["training"]
    changed = trained | {"training": training | {"steps": steps}}
    share = steps / training["steps"]
    if share >= 1:
        return changed
    changed["training"]["warmup"] = int(training["warmup"] * share)
    if trained.get("quantise_after"):
        changed["quantise_after"] = min(max(1, int(trained["quantise_after"] * share)), steps - 1)
    return changed
