"""What the verbs `train` and `sample` do, as functions.

import baselines, bench

run = baselines.train("dcgan", data="mnist", seed=0, settings={"tricks.ema": True})
baselines.sample(run, "samples/", num_images=10_000)
bench.score("samples/", reference="mnist")
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from baselines.recipes.config import RunConfig
from baselines.recipes.table import recipe_config
from baselines.runs.run_folder import RunFolder, load_run
from baselines.runs.train import Report, ScalarWriter, train_stack
from baselines.sampling.sampler import Sampler, Samples, SamplingOptions, manifest_of
from baselines.sampling.samples_folder import (
    Progress,
    manifest_path,
    require_free,
    write_manifest,
    write_samples,
)
from baselines.training.training_images import load_training_set
from bench.errors import UsageError
from bench.execution.ledger.causes import cause_of
from bench.runtime.devices import select_device

Settings = Mapping[str, object] | Iterable[str]


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
    """Train one run of a recipe; gives its folder, `out`/RECIPE-DATA-SEED.

    See `train_seeds`, of which this is the case of one seed.
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
    """Train a recipe with several seeds, as one program on a GPU; gives the runs' folders.

    `data` is a name (mnist, fashion-mnist, torchvision:CLASS) or a folder, zip, npz or npy of equal
    images. `settings` change the recipe, as `--set` does: {"tricks.ema": True, "batch_size": 32}
    or ["batch_size=32"]. `device` is cuda where there is one; `eager` does without CUDA graphs,
    with the same result. `report` is called with the step, the steps in all and the mean losses of
    the first run. Raises `UsageError` (folder taken, unknown names, tricks that cannot be combined,
    the reason told; out of memory), what loading data raises, and `TrainingDiverged`, when the
    other runs have ended.
    """
    configs = configs_of(recipe, seeds, data=data, settings=settings)
    place = select_device(device)
    root = None if data_root is None else Path(data_root)
    images = load_training_set(str(data), data_root=root, download=download, device=place)
    folders = [Path(out) / run_name(config) for config in configs]
    for config, folder in zip(configs, folders, strict=True):
        RunFolder(folder).checkpoint_for(config, images, resume=resume)  # before TensorBoard's
    board = summary_writer(Path(out) / "tensorboard" / folders[0].name) if tensorboard else None
    with closing(board) if board else nullcontext(), _memory_told("batch_size, the model's widths"):
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


def configs_of(
    recipe: str, seeds: Sequence[int], *, data: str | Path = "mnist", settings: Settings = ()
) -> list[RunConfig]:
    """The complete configurations that `train_seeds` would train. Raises `UsageError`, for
    settings without effect as well.
    """
    if not seeds:
        raise UsageError("no seed to train with; give one or more")
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"seeds {list(seeds)}: one is there twice, which would be the same run")
    if not isinstance(data, str | Path):
        raise UsageError(f"data of {type(data).__name__}: expected a name or the path of images")
    texts = settings_texts(settings)
    configs = [recipe_config(recipe, data=str(data), seed=seed, settings=texts) for seed in seeds]
    idle = configs[0].without_effect
    for text in texts:
        key = text.partition("=")[0]
        if key in idle:
            raise UsageError(f"--set {text!r} has no effect: {idle[key]}")
    return configs


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
    """Write samples of a trained run as PNG files into a new folder, the manifest beside it.

    `labels` are for conditional models, integers N or one for all; without them all classes come in
    turn. Gives what was written: uint8 N,H,W,C images, acceptance rate, labels of a conditional
    model. Raises `UsageError` for a folder or manifest that is there already, a run without a
    checkpoint, or a trick of sampling that the run does not allow.
    """
    target = Path(out)
    if not isinstance(num_images, int):
        raise UsageError(f"{num_images} images: expected a whole number")
    require_free(target)
    if manifest_path(target).exists():
        raise UsageError(f"{manifest_path(target)} is there already; give a new folder")
    trained = load_run(Path(run), select_device(device))
    chosen = options or SamplingOptions()
    tell = None if progress is None else functools.partial(progress, "sample")
    with _memory_told("num_images"):
        samples = Sampler(trained, chosen, seed).sample(num_images, labels, tell)
    write_samples(samples.images, target, progress=progress)
    write_manifest(target, manifest_of(trained, chosen, seed, samples))
    return samples


def settings_texts(settings: Settings) -> list[str]:
    """Settings as `key=value`; values of a mapping as JSON has them, texts as they are."""
    if isinstance(settings, Mapping):
        return [
            f"{key}={value if isinstance(value, str) else json.dumps(value, default=_plain)}"
            for key, value in settings.items()
        ]
    if isinstance(settings, str) or not isinstance(settings, Iterable):
        raise UsageError(f"settings {settings!r}: expected a mapping or a list of key=value")
    texts = list(settings)
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"setting {text!r}: expected a text, key=value")
    return texts


def _plain(value: object) -> object:
    """A number of NumPy's as Python's. Raises `UsageError` for anything else."""
    if isinstance(value, np.generic):
        plain: object = value.item()
        return plain
    raise UsageError(f"a setting of {type(value).__name__}: expected a text, number or list")


def run_name(config: RunConfig) -> str:
    """`RECIPE-DATA-SEED`, and a digest of what differs from the recipe where anything does."""
    data = config.data
    stem = Path(data).stem if "/" in data or Path(data).suffix else data.rpartition(":")[2]
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in stem)
    name = f"{config.recipe}-{safe.lstrip('.') or 'data'}-{config.seed}"
    recipe = recipe_config(config.recipe, data=data, seed=config.seed).model_dump(mode="json")
    changed = {
        key: value for key, value in config.model_dump(mode="json").items() if value != recipe[key]
    }
    if not changed:
        return name
    text = json.dumps(changed, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


@contextmanager
def _memory_told(what: str) -> Iterator[None]:
    """Out of memory as a `UsageError` that says what to make smaller."""
    try:
        yield
    except Exception as error:
        if cause_of(error) != "memory":
            raise
        told = str(error).strip().splitlines()[0]
        raise UsageError(f"out of memory ({told}); make {what} smaller") from error


def summary_writer(folder: Path) -> ScalarWriter:
    """TensorBoard's. Raises `UsageError` naming the extra where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("TensorBoard is not installed: pip install latentbench[track]") from error
    writer: ScalarWriter = SummaryWriter(str(folder))
    return writer
