"""Rank a class: find the submissions, score them side by side, order them with ties, publish.

entrants   which submissions there are: a folder of teams, archives, or a CSV
names      the names that a board shows for teams
scoring    each submission scored as a job of its own, on any executor
store      what was submitted, scored, decided and ranked, in one SQLite file that only grows
rules      which submissions are not ranked, and why
places     the order, with submissions that do not differ significantly on one place
rank       all of it in one call
board      the ranking as pages and tables
agreement  the rank correlation of two boards
"""
