"""Where work runs, and what of it is done: executors, the ledger, the scheduler that joins them."""
