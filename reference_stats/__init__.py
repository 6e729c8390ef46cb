"""Committed reference bundles, read by `bench.references` through `importlib.resources`."""
