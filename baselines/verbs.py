"""What the verbs `train` and `sample` do, as functions.

import baselines, bench

run = baselines.train("dcgan", data="mnist", seed=0, settings={"tricks.ema": True})
baselines.sample(run, "samples/", num_images=10_000)
bench.score("samples/", reference="mnist")
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

from baselines.config import RunConfig
from baselines.data import load_training_set
from baselines.recipes import recipe_config
from baselines.run_folder import load_run
from baselines.runs import Report, ScalarWriter, train_stack
from baselines.samples_folder import Progress, require_free, write_manifest, write_samples
from baselines.sampling import Sampler, Samples, SamplingOptions, manifest_of
from bench.devices import select_device
from bench.errors import UsageError

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
    report: Report | None = None,
) -> list[Path]:
    """Train a recipe with several seeds, as one program on a GPU; gives the runs' folders.

    `data` is a name (mnist, fashion-mnist, torchvision:CLASS) or a folder, zip, npz or npy of equal
    images. `settings` change the recipe, as `--set` does: {"tricks.ema": True, "batch_size": 32}
    or ["batch_size=32"]. `device` is cuda where there is one. `report` is called with the step, the
    steps in all and the mean losses of the first run. Raises `UsageError` (folder taken, unknown
    names, tricks that cannot be combined, the reason told), what loading data raises, and
    `TrainingDiverged`, when the other runs have ended.
    """
    texts = settings_texts(settings)
    configs = configs_of(recipe, seeds, data=data, settings=texts)
    place = select_device(device)
    root = None if data_root is None else Path(data_root)
    images = load_training_set(str(data), data_root=root, download=download, device=place)
    folders = [Path(out) / run_name(recipe, str(data), seed, texts) for seed in seeds]
    board = summary_writer(Path(out) / "tensorboard" / folders[0].name) if tensorboard else None
    with closing(board) if board else nullcontext():
        train_stack(
            configs, images, folders, device=place, resume=resume, report=report, board=board
        )
    return folders


def configs_of(
    recipe: str, seeds: Sequence[int], *, data: str | Path = "mnist", settings: Settings = ()
) -> list[RunConfig]:
    """The complete configurations that `train_seeds` would train. Raises `UsageError`."""
    if not seeds:
        raise UsageError("no seed to train with; give one or more")
    texts = settings_texts(settings)
    return [recipe_config(recipe, data=str(data), seed=seed, settings=texts) for seed in seeds]


def sample(
    run: str | Path,
    out: str | Path,
    *,
    num_images: int = 10_000,
    seed: int = 0,
    options: SamplingOptions | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Samples:
    """Write samples of a trained run as PNG files into a new folder, the manifest beside it.

    Gives what was written: uint8 N,H,W,C images, acceptance rate, labels of a conditional model.
    Raises `UsageError` for a folder that holds something, a run without a checkpoint, or a trick of
    sampling that the run does not allow.
    """
    target = Path(out)
    if num_images < 1:
        raise UsageError(f"{num_images} images: expected 1 or more")
    require_free(target)
    trained = load_run(Path(run), select_device(device))
    chosen = options or SamplingOptions()
    samples = Sampler(trained, chosen, seed).sample(num_images)
    write_samples(samples.images, target, progress=progress)
    write_manifest(target, manifest_of(trained, chosen, seed, samples))
    return samples


def settings_texts(settings: Settings) -> list[str]:
    """Settings as `key=value`; values of a mapping as JSON has them, texts as they are."""
    if isinstance(settings, str):
        raise UsageError(f"settings {settings!r}: expected a mapping or a list of key=value")
    if not isinstance(settings, Mapping):
        return list(settings)
    return [
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in settings.items()
    ]


def run_name(recipe: str, data: str, seed: int, settings: Sequence[str]) -> str:
    """`RECIPE-DATA-SEED`, and a digest of the settings where there are any."""
    stem = Path(data).stem if "/" in data or Path(data).suffix else data.rpartition(":")[2]
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in stem)
    name = f"{recipe}-{safe.lstrip('.') or 'data'}-{seed}"
    if not settings:
        return name
    return f"{name}-{hashlib.sha256(chr(0).join(sorted(settings)).encode()).hexdigest()[:6]}"


def summary_writer(folder: Path) -> ScalarWriter:
    """TensorBoard's. Raises `UsageError` naming the extra where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("TensorBoard is not installed: pip install latentbench[track]") from error
    writer: ScalarWriter = SummaryWriter(str(folder))
    return writer
