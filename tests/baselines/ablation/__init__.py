"""Plan and analysis of trick ablations."""
