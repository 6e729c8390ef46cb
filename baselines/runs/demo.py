"""The bundled run of recipe `demo-gan`, whose samples `latentbench demo` scores.

    latentbench train demo-gan --data mnist --seed 0 --set num_steps=14000
    python -m baselines.runs.demo runs/demo-gan-mnist-0-ec801b --out demo-gan.safetensors

The second command drops what only further training needs: the optimisers' states and the generator
without averaging.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baselines.runs.run_folder import CHECKPOINT
from baselines.sampling.sampler import Sampler, SamplingOptions
from baselines.sampling.trained import AVERAGED_GENERATOR, Trained, trained_from
from baselines.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from bench.errors import BundleError
from bench.runtime.terminal import CommandParser

WEIGHTS = "demo-gan.safetensors"
WEIGHTS_SHA256 = "c8348ee426376e567099d26b36f1c26df5dbad6a9ec8a9f9251afe42d930a19d"
NEEDED = (AVERAGED_GENERATOR, "networks/discriminator/")


def load_demo() -> Trained:
    """Load the bundled run. Raises `BundleError` if its weights are damaged."""
    with resources.as_file(resources.files("baselines") / "weights" / WEIGHTS) as path:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != WEIGHTS_SHA256:
            raise BundleError(
                f"weights {WEIGHTS} are damaged: SHA-256 {found}, expected {WEIGHTS_SHA256}. "
                "Install latentbench again."
            )
        return trained_from(read_checkpoint(path))


def generate_digits(num_images: int, seed: int) -> NDArray[np.uint8]:
    """Return digits, uint8 N,28,28,1, whose classes alternate. A seed always gives the same images.

    >>> generate_digits(2, seed=0).shape
    (2, 28, 28, 1)
    """
    return Sampler(load_demo(), SamplingOptions(), seed).sample(num_images).images


def for_sampling(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint with only what sampling needs of a run with averaged weights."""
    needed = {key: value for key, value in checkpoint.tensors.items() if key.startswith(NEEDED)}
    return checkpoint._replace(tensors=needed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the weights of the bundled run from a run's folder."""
    parser = CommandParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a trained run of recipe demo-gan")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    write_checkpoint(options.out, for_sampling(read_checkpoint(options.run / CHECKPOINT)))
    digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
    print(f"{options.out}: {options.out.stat().st_size:,} bytes, SHA-256 {digest}")  # noqa: T201


if __name__ == "__main__":
    main()
