"""Score a submission: python3 score.py /app/input /app/output."""

import sys

from bench.platforms.codabench import main

sys.exit(main(sys.argv[1:]))
