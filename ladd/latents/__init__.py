"""What the latents are: encoders, pooling and reduction, vector quantiser, frozen codebook."""
