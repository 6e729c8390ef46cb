"""Build a reference from real images: a bundle on disk, or one in memory.

Images come from the arrays of a data set, or as a stream of any length from a folder, zip, npz, npy
or idx file. `bench.references.bundle` describes a bundle.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.content import ContentFacts, ReferenceContent, reference_content_of
from bench.data.datasets import load_dataset, user_data_dir
from bench.data.sources import DataSource
from bench.errors import InputError, UsageError
from bench.extractors import EXTRACTORS, resolve_extractors
from bench.extractors.base import Extractor, ExtractorChoice, ResolvedExtractor
from bench.intake import SetIdentity, Size
from bench.metrics import OWN_METRICS
from bench.references.bundle import NUM_NEIGHBOURS, Reference, load_reference, statistics_of
from bench.references.bundle_writing import bundle_arrays, bundle_manifest
from bench.references.lookup import DEFAULT_EXTRACTORS
from bench.references.perfect_values import held_out_values
from bench.references.real_images import RealImages, Seen
from bench.references.sample_cache import cache_sample, cached_sample, sample_key
from bench.runtime.cache import Cache, cache_key
from bench.runtime.code_digest import code_digest, module_of
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.runtime.progress import Progress
from bench.runtime.whole_files import write_atomically
from bench.statistics.moments import SUBSET_SEED, SUBSET_SIZE

HELD_OUT_SIZES = (1_000, 2_000, 5_000, 10_000)
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _require_enough(name: str, num_train: int) -> None:
    if num_train <= NUM_NEIGHBOURS:
        raise InputError(
            f"{name}: {num_train} train images; a reference needs at least {NUM_NEIGHBOURS + 1}"
        )


def build_references(
    name: str,
    out: Path,
    *,
    extractors: Sequence[ResolvedExtractor],
    train: RealImages,
    test: RealImages | None,
    labels: Mapping[str, NDArray[np.int64]] | None = None,
    command: str,
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[Path]:
    """Write `NAME-EXTRACTOR.npz` and `.json` into the folder `out` for each extractor, and return
    the paths of the manifests. The images are decoded once.

    `labels` are the class labels of each split, int64 N; `command` is recorded as the way to
    rebuild the bundle. The arrays are in place before the manifest that names their digest. Raises
    what `RealImages.samples` raises, and `InputError` for too few images.
    """

    @functools.cache
    def networks() -> list[Extractor]:
        return [extractor.load(device) for extractor in extractors]

    splits = {"train": train} | ({} if test is None else {"test": test})
    seen: dict[str, Seen] = {}
    for split, images in splits.items():
        seen[split] = images.samples(
            networks,
            progress=None
            if progress is None
            else functools.partial(progress, f"features of {split}"),
        )
        if split == "train":
            _require_enough(name, seen[split].identity.num_images)
    identities = {split: one.identity for split, one in seen.items()}
    facts = seen["train"].facts
    content = reference_content_of(
        facts,
        seen["test"].facts if "test" in seen else None,
        training_pixels=train.pixels(facts),
    )
    paths = []
    for position, extractor in enumerate(extractors):
        arrays = bundle_arrays(
            seen["train"].samples[position],
            seen["test"].samples[position] if test is not None else None,
            labels=labels,
            device=device,
        )
        arrays |= content.arrays()
        data = arrays_to_bytes(arrays, compress=True)
        manifest = bundle_manifest(
            name,
            extractor,
            identities,
            num_subset=len(arrays["train_features"]),
            resize=train.resize,
            command=command,
            arrays=data,
            sources={
                split: images.data_source
                for split, images in splits.items()
                if images.data_source is not None
            },
        )
        stem = f"{name}-{re.sub('[^A-Za-z0-9._-]', '-', extractor.label)}"
        write_atomically(out / f"{stem}.npz", data)
        path = out / f"{stem}.json"
        write_atomically(path, manifest.to_json())
        if test is not None:
            held_out = _held_out(path, device)
            write_atomically(path, manifest.model_copy(update={"held_out": held_out}).to_json())
        paths.append(path)
    return paths


def _held_out(path: Path, device: str) -> dict[str, dict[str, float | None]]:
    """Return the scores of held-out real images at the usual sizes, which scoring then looks up."""
    reference = load_reference(path)
    # of this package alone, so that a reference does not depend on what else is installed
    metrics = [metric for metric in OWN_METRICS if metric.expected is None]
    num_test = 0 if reference.test is None else len(reference.test.values)
    return {
        f"{n}:{SUBSET_SEED}": held_out_values(
            reference, metrics, n, seed=SUBSET_SEED, device=device
        )
        for n in HELD_OUT_SIZES
        if n <= num_test
    }


def reference_from(
    name: str,
    images: RealImages,
    extractors: Sequence[tuple[ResolvedExtractor, Callable[[], Extractor]]],
    *,
    subset: int = SUBSET_SIZE,
    device: str = "cpu",
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> list[Reference]:
    """Return a reference in memory for each extractor, with features in float32 and without
    held-out images. Features that are not in the cache are extracted from one decoding.

    Each extractor comes with a function that loads its network. Raises what `RealImages.samples`
    raises, and `InputError` for too few images.
    """
    cache = cache or Cache(None)

    def key(extractor: ResolvedExtractor, identity: SetIdentity) -> str:
        return sample_key(
            extractor,
            sequence_digest=identity.sequence_digest,
            num_images=identity.num_images,
            device=device,
            subset=subset,
            seed=SUBSET_SEED,
        )

    identity = images.identity()
    _require_enough(name, identity.num_images)
    samples = {
        position: sample
        for position, (extractor, _) in enumerate(extractors)
        if (sample := cached_sample(cache, key(extractor, identity))) is not None
    }
    missing = [position for position in range(len(extractors)) if position not in samples]
    facts: ContentFacts | None = None
    if missing:
        found, identity, facts = images.samples(
            lambda: [extractors[position][1]() for position in missing],
            subset=subset,
            progress=None if progress is None else functools.partial(progress, "features of real"),
        )
        for position, sample in zip(missing, found, strict=True):
            samples[position] = sample
            cache_sample(cache, key(extractors[position][0], identity), sample)
    content = _content(images, identity, facts, cache)
    references = []
    for position, (extractor, _) in enumerate(extractors):
        arrays = bundle_arrays(samples[position], None, device=device, half=False)
        arrays |= content.arrays()
        manifest = bundle_manifest(
            name,
            extractor,
            {"train": identity},
            num_subset=len(arrays["train_features"]),
            resize=images.resize,
            command=f"latentbench score --reference {shlex.quote(name)}",
            arrays=arrays_to_bytes(arrays),
        )
        references.append(
            Reference(
                manifest=manifest,
                read=functools.partial(statistics_of, manifest, arrays),
                sources={} if images.data_source is None else {"train": images.data_source},
            )
        )
    return references


def _content(
    images: RealImages, identity: SetIdentity, facts: ContentFacts | None, cache: Cache
) -> ReferenceContent:
    """Return the content of real images: from the cache, from `facts`, or by reading them again."""
    parts = {"real": identity.sequence_digest, "code": code_digest(module_of(reference_content_of))}
    key = cache_key(parts)
    cached = cache.get("content", key)
    if cached is not None:
        return ReferenceContent.of(arrays_from_bytes(cached, f"cache entry {key}"))
    content = reference_content_of(images.facts() if facts is None else facts)
    cache.put("content", key, arrays_to_bytes(content.arrays()))
    return content


def build_from(
    name: str,
    out: Path | None,
    *,
    extractor: str | None = None,
    choice: ExtractorChoice | None = None,
    data: str | None = None,
    train: Path | None = None,
    test: Path | None = None,
    resize: Size | None = None,
    data_root: Path | None = None,
    download: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[Path]:
    """Build bundles from a data set (default: the one called `name`) or from folders, and return
    the paths of their manifests.

    `out` None is the user's folder of references, where names are looked up. Raises `UsageError`
    for options that do not go together, and what `load_dataset` and `build_references` raise.
    """
    choice = choice or ExtractorChoice()
    if not NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"reference name {name!r}: letters, digits, dot, minus and underscore only"
        )
    extractor = extractor or DEFAULT_EXTRACTORS.get(data or name)
    if extractor is None:
        raise UsageError(
            f"which extractor? {name!r} has none of its own; give --extractor, one of: "
            f"{', '.join(EXTRACTORS)}"
        )
    if out is None and DEFAULT_EXTRACTORS.get(name) == extractor:
        raise UsageError(
            f"{name!r} for {extractor!r} is in the package and would be hidden; choose another "
            "name, or write it elsewhere with --out"
        )
    if train is not None and data is not None:
        raise UsageError("give --data or --train, not both")
    if train is None and test is not None:
        raise UsageError("--test needs --train")
    resolved = resolve_extractors(extractor, choice, download=progress)
    command = ["latentbench", "reference", "build", name, "--extractor", extractor]
    for kind, value in (("layer", choice.layer), ("protocol", choice.protocol)):
        command += [] if value is None else [f"--{kind}", value]
    command += [] if choice.precision is None else ["--precision", choice.precision]
    labels: dict[str, NDArray[np.int64]] = {}
    if train is not None:
        train_images = RealImages(train, resize)
        test_images = None if test is None else RealImages(test, resize)
        command += ["--train", str(train)] + ([] if test is None else ["--test", str(test)])
        command += [] if resize is None else ["--resize", f"{resize.width}x{resize.height}"]
    else:
        if resize is not None:
            raise UsageError("--resize is for --train and --test; a data set has one size")
        splits = {
            split: load_dataset(data or name, split, data_root=data_root, download=download)
            for split in ("train", "test")
        }
        root = None if data_root is None else str(data_root.absolute())
        source = DataSource(dataset=data or name, root=root)
        train_images, test_images = (
            RealImages(splits[split].images, dataset=source) for split in ("train", "test")
        )
        labels = {split: loaded.labels for split, loaded in splits.items()}
        command += ["--data", data or name]
    if out is not None:
        command += ["--out", str(out)]
    return build_references(
        name,
        out if out is not None else user_data_dir() / "references",
        extractors=resolved,
        train=train_images,
        test=test_images,
        labels=labels,
        command=shlex.join(command),
        device=device,
        progress=progress,
    )
