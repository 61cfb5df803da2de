"""Training and reference data."""
