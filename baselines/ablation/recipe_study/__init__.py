"""The study of all recipes: each one on each data set with several seeds, trained, sampled, scored.

recipes          what is trained: recipes, data sets, seeds, budgets, ways of sampling
sampled_runs     one run: trained, sampled in several ways, each scored as a folder
held_out         what models report besides samples: ELBOs, mutual information
rows             the lines of records.jsonl
run_recipes      all of it together
recipes_page     README.md

`python -m baselines.ablation.recipe_study` is its command; it makes reports/baselines.
"""
