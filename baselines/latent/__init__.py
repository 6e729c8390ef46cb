"""Trained runs of the baselines as latent spaces of `bench.latent`.

source   the row of the entry point: which paths are runs
spaces   the space of each kind of model
"""
