"""Make the committed real images of the tests: of each data set the first 2,000 of the test split,
and a random 300 of the train split with their rows.

python tests/data/make_samples.py --data-root ROOT
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.data.datasets import DATASETS, load_dataset

NUM_IMAGES = 2_000
NUM_TRAIN = 300


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
        train = load_dataset(name, "train", data_root=options.data_root)
        rows = np.sort(np.random.default_rng(0).permutation(len(train.images))[:NUM_TRAIN])
        np.savez_compressed(
            Path(__file__).with_name(f"{name}-train-{NUM_TRAIN}.npz"),
            images=train.images[rows],
            rows=rows.astype(np.int32),
        )


if __name__ == "__main__":
    main()
