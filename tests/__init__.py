"""The tests. Workers of pytest-xdist share the cores: a thread each, set before libraries load."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
