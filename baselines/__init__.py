"""Latentbench's reference models and the tools that train and sample them; see `bench` for scores."""
