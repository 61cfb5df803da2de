"""Latent-augmented discrete diffusion: method, samplers, exact evaluation and the stages of its pipeline."""
