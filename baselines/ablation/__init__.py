"""Trick ablation: from a plan to conclusions.

design/         what is compared: the plan file, presets, factors, designs, cells, budgets
run/            the runs as jobs of a ledger: checks, costs, training, scoring
analysis/       what the results say: arrays and frames in, one question a file
report/         the folder, its tables and plots, the page, an index over pages
recipe_study/   the study of all recipes, which runs on the same runner

To add a preset, add a row to `design.presets`; to add a question, add a file to `analysis` and a
line to `analysis.analyse`.
"""
