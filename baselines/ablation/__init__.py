"""Trick ablation: plans, designs, runs, effects."""
