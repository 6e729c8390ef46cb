"""Comparison of the records of one submission: `comparison.compare`, and its views."""
