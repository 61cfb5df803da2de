"""Fewer training steps, with all that is counted in steps kept in proportion."""

from __future__ import annotations

from ladd.launch.values import Values


def shorten(trained: Values, steps: int | None) -> Values:
    """A block with a training (latents, a baseline, a model) or steps of its own (a codebook), trained for ``steps``.

    With fewer steps than before, warm-up, the start of the quantiser, validation and checkpoints come as much earlier,
    so that the block stays valid; with more they stay. The argument stays as it is.
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
    every = max(1, int(training["validate_every"] * share))
    changed["training"] |= {
        "warmup": int(training["warmup"] * share),
        "validate_every": every,
        "checkpoint_every": every * (training["checkpoint_every"] // training["validate_every"]),
    }
    if trained.get("quantise_after"):
        changed["quantise_after"] = min(max(1, int(trained["quantise_after"] * share)), steps - 1)
    return changed
