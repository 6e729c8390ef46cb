"""The published study: every recipe on every data set with several seeds, trained, sampled, scored.

budgets          how long each recipe trains, at full length and on a CPU
plan, work       the runs as jobs of a ledger, and what each leaves
rows             the lines of records.jsonl
report           README.md, rendered from them
running          all of it together; `python -m baselines.study` is its command
"""
