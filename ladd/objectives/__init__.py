"""Training losses and the negative ELBO terms that evaluation reports."""
