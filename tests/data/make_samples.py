"""Make the committed real images of the tests: the first 2,000 of each data set's test split.

python tests/data/make_samples.py --data-root ROOT
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.datasets import DATASETS, load_dataset

NUM_IMAGES = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    options = parser.parse_args()
    for name in DATASETS:
        data = load_dataset(name, "test", data_root=options.data_root)
        np.savez_compressed(
            Path(__file__).with_name(f"{name}-test-2000.npz"),
            images=data.images[:NUM_IMAGES],
            labels=data.labels[:NUM_IMAGES].astype(np.uint8),
        )


if __name__ == "__main__":
    main()
