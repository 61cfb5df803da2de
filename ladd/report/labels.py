"""Names in words of what the ``compare`` table names by key."""

from __future__ import annotations

import polars as pl

# In the order of tables and legends: references first.
FAMILIES = {
    "oracle": "Oracle",
    "exact": "Exact",
    "real": "Real data",
    "ar": "AR",
    "mdlm": "MDLM",
    "di-ladd": "Di-LADD",
    "co-ladd": "Co-LADD",
}
REFERENCES = ("oracle", "exact", "real")

# In nats per token, in the order of the columns.
BOUNDS = {
    "token_elbo": "token term",
    "full_bound": "full bound",
    "token_loss_clean_latent": "clean latent",
}
# The entropy rate is the best possible value of a full bound, so the two share a column.
STANDS_IN = {"entropy_rate": "full_bound"}
# Families whose token term is given latents that come from an encoder of the same sequence.
CONDITIONAL = ("co-ladd", "di-ladd")
BOUNDS_NOTE = (
    "(x): given latents that have seen the sequence, no bound on -log p(x); clean latent: of the oracle, the shift"
)

# One value per sampling seed: unit, and factor from the stored value to the shown one.
SAMPLING = {
    "swd": ("SWD to real data (sliced Wasserstein distance), in thousandths", 1000.0),
    "entropy_positional": ("Positional entropy (of the marginal at each position), nats", 1.0),
    "entropy_sequence": ("Per-sequence unigram entropy, nats", 1.0),
}


def uncertain(value: float, stderr: float | None, digits: int) -> str:
    """A value and its standard error, if it has one, with ``digits`` decimals."""
    return f"{value:.{digits}f}" + ("" if stderr is None else f"±{stderr:.{digits}f}")


def schedule_name(schedule: str, latent_steps: int | None) -> str:
    """Inference schedule with the latent steps that it takes besides its token steps; "" for none."""
    return ("" if schedule == "none" else schedule) + (f" +{latent_steps}" if latent_steps else "")


def sampling_note(summary: pl.DataFrame) -> str:
    """How many seeds and samples stand behind averaged sampling metrics, in words; "" without seeds."""
    sampled = summary.filter(pl.col("seeds") > 0)
    if sampled.is_empty():
        return ""
    seeds, samples = _span(sampled["seeds"]), _span(sampled["n"])
    if seeds == "1":
        return f"± standard error within one seed of n = {samples} samples"
    return f"mean ± standard error over {seeds} seeds of n = {samples} samples each"


def _span(counts: pl.Series) -> str:
    known = counts.drop_nulls().to_list() or [0]
    low, high = min(known), max(known)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
