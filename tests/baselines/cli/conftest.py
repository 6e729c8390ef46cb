"""The small ablation plan, for the tests of `latentbench ablate`."""

from tests.baselines.ablation.conftest import (
    _found_by_workers,
    digits_file,
    ledger,
    make_plan,
)

__all__ = ["_found_by_workers", "digits_file", "ledger", "make_plan"]
