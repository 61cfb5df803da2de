"""Forward kernels and reverse bridges of the two channels."""
