"""Latentbench's reference models, their training and their samples; `bench` scores them."""
