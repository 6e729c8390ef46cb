"""Train recipes and write samples, from Python as from the verbs `train` and `sample`.

import baselines, bench

run = baselines.train("dcgan", data="mnist", seed=0, settings={"tricks.ema": True})
baselines.sample(run, "samples/", num_images=10_000)
bench.score("samples/", reference="mnist")
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from numpy.typing import ArrayLike

from baselines.runs.configs import Settings, run_configs, run_name
from baselines.runs.longer import find_shorter_run, start_from
from baselines.runs.run_folder import RunFolder, load_run
from baselines.runs.train import Report, ScalarWriter, train_stack
from baselines.sampling.sampler import Sampler, Samples, SamplingOptions, manifest_of
from baselines.sampling.samples_folder import (
    manifest_path,
    require_free,
    write_manifest,
    write_samples,
)
from baselines.training.training_images import load_training_set
from bench.errors import UsageError
from bench.execution.ledger.causes import cause_of
from bench.runtime.devices import select_device
from bench.runtime.progress import Progress


def train(
    recipe: str,
    *,
    data: str | Path = "mnist",
    seed: int = 0,
    settings: Settings = (),
    out: str | Path = "runs",
    device: str | None = None,
    data_root: str | Path | None = None,
    download: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    eager: bool = False,
    report: Report | None = None,
) -> Path:
    """Train one run of a recipe and return its folder, `out`/RECIPE-DATA-SEED.

    `train_seeds` explains the parameters and what is raised.
    """
    (folder,) = train_seeds(
        recipe,
        [seed],
        data=data,
        settings=settings,
        out=out,
        device=device,
        data_root=data_root,
        download=download,
        resume=resume,
        tensorboard=tensorboard,
        eager=eager,
        report=report,
    )
    return folder


def train_seeds(
    recipe: str,
    seeds: Sequence[int],
    *,
    data: str | Path = "mnist",
    settings: Settings = (),
    out: str | Path = "runs",
    device: str | None = None,
    data_root: str | Path | None = None,
    download: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    eager: bool = False,
    report: Report | None = None,
) -> list[Path]:
    """Train a recipe with several seeds and return the runs' folders. On a GPU the seeds train as
    one program.

    `data` is a name (mnist, fashion-mnist, factors, torchvision:CLASS) or a folder, zip, npz or npy
    of images of one size; a folder for each class gives labels. `settings` change the recipe as
    `--set` does: {"tricks.ema": True, "batch_size": 32} or ["batch_size=32"]; "resize" brings
    images of other sizes to one. `device` None is CUDA if available, otherwise the CPU. `eager`
    trains without CUDA graphs, with the same result. `resume` continues interrupted runs; where
    there is none, it goes on from the run in `out` that differs only in having fewer steps.
    `report` is called with the step, the
    number of steps and the mean terms of the first run.

    Raises `UsageError` (a folder that is taken, unknown names, tricks that cannot be combined, out
    of memory), `TrainingDiverged` once the other runs have ended, and what loading data raises.
    """
    configs = run_configs(recipe, seeds, data=data, settings=settings)
    place = select_device(device)
    root = None if data_root is None else Path(data_root)
    images = load_training_set(
        str(data), data_root=root, download=download, device=place, resize=configs[0].resize
    )
    folders = [Path(out) / run_name(config) for config in configs]
    for config, folder in zip(configs, folders, strict=True):
        # refuse a folder that is taken before TensorBoard writes anything
        found = RunFolder(folder).checkpoint_for(config, images, resume=resume)
        shorter = find_shorter_run(Path(out), config) if resume and found is None else None
        if shorter is not None:
            RunFolder(shorter).checkpoint_for(config, images, resume=True)
            start_from(shorter, folder, config)
    board = _scalar_writer(Path(out) / "tensorboard" / folders[0].name) if tensorboard else None
    with closing(board) if board else nullcontext(), _explain_memory("batch_size or model widths"):
        train_stack(
            configs,
            images,
            folders,
            device=place,
            resume=resume,
            report=report,
            board=board,
            graph=False if eager else None,
        )
    return folders


def sample(
    run: str | Path,
    out: str | Path,
    *,
    num_images: int = 10_000,
    seed: int = 0,
    labels: ArrayLike | None = None,
    options: SamplingOptions | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Write samples of a trained run as PNG files into a new folder, and a manifest next to it.

    `labels` are for conditional models: N integers, or one for all images. Without labels the
    classes alternate. Returns what was written: uint8 N,H,W,C images, acceptance rate, and the
    labels of a conditional model.

    Raises `UsageError` for a folder or manifest that exists, a run without a checkpoint, and
    sampling options that the run does not support.
    """
    target = Path(out)
    if not isinstance(num_images, int):
        raise UsageError(f"{num_images} images: expected a whole number")
    require_free(target)
    if manifest_path(target).exists():
        raise UsageError(f"{manifest_path(target)} exists already; give a new folder")
    trained = load_run(Path(run), select_device(device))
    chosen = options or SamplingOptions()
    on_images = None if progress is None else functools.partial(progress, "sample")
    with _explain_memory("num_images"):
        samples = Sampler(trained, chosen, seed).sample(num_images, labels, on_images)
    write_samples(samples.images, target, progress=progress)
    write_manifest(target, manifest_of(trained, chosen, seed, samples))
    return samples


@contextmanager
def _explain_memory(what: str) -> Iterator[None]:
    """Turn an out-of-memory error into a `UsageError` that says what to reduce."""
    try:
        yield
    except Exception as error:
        if cause_of(error) != "memory":
            raise
        summary = str(error).strip().splitlines()[0]
        raise UsageError(f"out of memory ({summary}); reduce {what}") from error


def _scalar_writer(folder: Path) -> ScalarWriter:
    """Return TensorBoard's writer. Raises `UsageError` if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("TensorBoard is not installed: pip install tensorboard") from error
    writer: ScalarWriter = SummaryWriter(str(folder))
    return writer
