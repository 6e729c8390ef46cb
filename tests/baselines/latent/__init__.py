"""Trained runs as latent spaces."""
