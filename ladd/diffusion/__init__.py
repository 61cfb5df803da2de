"""Diffusion processes with their schedules and losses, times, and noise. Time runs from 0 (clean) to 1 (noise)."""
