"""Two records of one submission, compared: `comparison.compare`, and how it is shown."""
