"""Trick ablation, in the order in which a plan goes through it.

    plan, factors, presets, budgets      what is asked: base recipe, factors, design, seeds, budget
    designs, cells, costs                which cells and runs that makes, and what they will cost
    jobs, checks, work,
    running, results                     the runs as jobs of a ledger, and what each leaves
    coding, least_squares, effects,
    paired, ranking, outcomes, power,
    tradeoff, curves, simulation         what they say: one question a file, arrays and frames only
    analysis, conclusions, wording,
    open_questions                       all of it together, and in words
    records, describing, naming, tables,
    shown_tables, *_plots, figures,
    report                               the folder, its tables and plots, and the page
    cli, console, study                  the verb, what it prints, and the published study

A new preset is a row in `presets`; a new question a file beside `tradeoff`, a line in `analysis`.
"""
