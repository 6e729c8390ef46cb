"""The verbs of `baselines`, registered through the entry-point group `latentbench.verbs`."""
