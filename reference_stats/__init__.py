"""Committed reference bundles, read by `bench.references.bundle` through `importlib.resources`."""
