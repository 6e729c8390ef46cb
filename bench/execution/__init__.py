"""Run jobs anywhere and remember which are done: the ledger, the executors and the scheduler."""
