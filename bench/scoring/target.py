"""What submissions are compared with: extractors, each with the reference made for it.

With `protocol="all"` there is a target for each protocol of the extractor, else one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import BundleError, UsageError
from bench.extractors import ALL_PROTOCOLS, extractor_row, resolve_extractors
from bench.extractors.base import Extractor, ExtractorChoice, ResolvedExtractor
from bench.intake import sanitise, split_array_name
from bench.records.score_record import FindingEntry, Submission
from bench.records.submission import submission_name
from bench.references.bundle import Reference, open_reference, require_same_extractor
from bench.references.lookup import DEFAULT_EXTRACTORS, Wanted, find_manifest, is_known
from bench.references.statistics_file import (
    is_statistics_file,
    stated_origin,
    statistics_reference,
)
from bench.runtime.cache import Cache
from bench.runtime.progress import Progress
from bench.scoring.settings import ScoreSettings

DEFAULT_EXTRACTOR = "inception"  # for real images
FEW_IMAGES = 100  # below that, no interval of FID can be computed
ENOUGH_IMAGES = 1_000


class LazyNetwork:
    """The network of an extractor, loaded on `device` when it is first used."""

    def __init__(self, extractor: ResolvedExtractor, device: str) -> None:
        self._extractor, self._device = extractor, device
        self.loaded: Extractor | None = None

    def __call__(self) -> Extractor:
        """Return the network. Raises as `ResolvedExtractor.load` does."""
        if self.loaded is None:
            self.loaded = self._extractor.load(self._device)
        return self.loaded


@dataclass(frozen=True, eq=False)
class Target:
    """One extractor with the reference made for it; a submission gets a record for each target."""

    extractor: ResolvedExtractor
    reference: Reference
    lazy_network: LazyNetwork

    @property
    def network(self) -> Extractor:
        return self.lazy_network()

    def warnings(self, submission: Submission) -> Iterator[FindingEntry]:
        """Yield what a reader of the record must know about extractor and reference."""
        manifest = self.reference.manifest
        if submission.num_images < FEW_IMAGES:
            yield warning(
                "few-images",
                f"{submission.num_images} images are too few: the values depend mostly on which "
                "images were drawn, and say little about the model",
                f"score at least {ENOUGH_IMAGES:,} images, better 10,000",
            )
        origin = self.reference.origin
        if origin is not None and not origin.is_known:
            made_by = " ".join([self.extractor.name, *self.extractor.settings.values()])
            yield warning(
                "statistics-file",
                "the reference is a file of mean and covariance that does not say which network "
                f"and resizing made it; the values hold if it was {made_by}",
                "give the --protocol of the program that made the file, such as pytorch-fid or "
                "clean-fid",
            )
        size = (manifest.height_px, manifest.width_px)
        if size not in ((0, 0), (submission.height_px, submission.width_px)):
            yield warning(
                "size-differs",
                f"images of {submission.width_px}x{submission.height_px} px against a reference of "
                f"{manifest.width_px}x{manifest.height_px} px; the extractor brings both to one "
                "size, and part of the distance is due to the sizes",
                f"generate that size, or --resize {manifest.width_px}x{manifest.height_px}",
            )
        split = manifest.split_of(submission.pixel_digest)
        if split is not None:
            yield warning(
                "same-images",
                f"the images are exactly the {split} images of reference {manifest.name!r}; their "
                "distance from themselves says nothing about a generator",
                "score generated images, or other real images",
                submission.num_images,
            )
        if submission.channels > self.extractor.row.channels:
            yield warning(
                "colour-to-grey",
                f"colour images; extractor {self.extractor.name!r} sees their ITU-R BT.601 luma "
                "only",
                "save grey images (R=G=B), or choose an extractor that sees colour",
                submission.num_images,
            )
        if not self.extractor.verified:
            yield warning(
                "unverified-weights",
                f"the weights of {self.extractor.name!r} are not the published ones (SHA-256 "
                f"{self.extractor.digest[:12]})",
                "compare with scores of the same weights only",
            )
        compiling = getattr(self.lazy_network.loaded, "compiling", None)
        failure = getattr(compiling, "failure", None)
        if failure is not None:
            yield warning(
                "not-compiled",
                f"compiling {self.extractor.name!r} failed, and the plain network was used: "
                f"{failure}",
                "install a C compiler, which PyTorch's compiler needs; or leave --compile out",
            )
        built = self.reference.manifest.settings.get("precision")
        used = self.extractor.settings.get("precision")
        shift = self.extractor.row.precision_shifts.get(used or "")
        if shift is not None:
            yield FindingEntry(
                code="precision",
                severity="info",
                count=1,
                examples=(),
                message=f"precision {used!r} moves the FID by {shift} of its value",
                fix="none needed; leave --precision out for the exact value",
            )
        if built != used:
            yield warning(
                "mixed-precision",
                f"features in precision {used!r} against a reference in {built!r}",
                "build the reference in the same precision, or leave --precision out",
            )


def open_targets(
    settings: ScoreSettings, *, device: str, cache: Cache, progress: Progress | None = None
) -> list[Target]:
    """Return the targets for a reference, without loading a network.

    Weights that are not on this machine are downloaded. Raises `UnknownNameError` for a name that
    no table holds, `UsageError` for options that the extractor lacks, and `BundleError` for weights
    that cannot be had and for a reference that was built with others.
    """
    if settings.extractor is not None:
        extractor_row(settings.extractor)
    path = Path(settings.reference)
    if is_statistics_file(path):
        return _against_statistics(settings, path, device, progress)
    if _is_images(str(settings.reference)):
        return _against_images(settings, device, cache, progress)
    return _against_bundles(settings, device, progress)


def _is_images(reference: str) -> bool:
    """Return whether a reference is a path that is no manifest, and not the name of a bundle."""
    if reference.endswith(".json"):
        return False
    return split_array_name(reference)[0].exists() and ("/" in reference or not is_known(reference))


def _against_images(
    settings: ScoreSettings, device: str, cache: Cache, progress: Progress | None
) -> list[Target]:
    from bench.references.build import reference_from  # noqa: PLC0415  (bundles need none of it)
    from bench.references.real_images import RealImages  # noqa: PLC0415

    path = Path(settings.reference)
    resolved = resolve_extractors(
        settings.extractor or DEFAULT_EXTRACTOR, settings.extractor_choice, download=progress
    )
    networks = [(extractor, LazyNetwork(extractor, device)) for extractor in resolved]
    references = reference_from(
        submission_name(path),
        RealImages(path, settings.size),
        networks,
        subset=settings.subset,
        device=device,
        cache=cache,
        progress=progress,
    )
    return [
        Target(extractor, reference, network)
        for (extractor, network), reference in zip(networks, references, strict=True)
    ]


def _against_statistics(
    settings: ScoreSettings, path: Path, device: str, progress: Progress | None
) -> list[Target]:
    choice = settings.extractor_choice
    if choice.protocol == ALL_PROTOCOLS:
        raise UsageError(
            f"{sanitise(str(path))} holds statistics of one protocol; name it instead of 'all'"
        )
    origin = stated_origin(path)
    name = settings.extractor or DEFAULT_EXTRACTOR
    if origin is not None:
        name = settings.extractor or origin.extractor
        choice = choice.filled(origin.choice)
    resolved = extractor_row(name).resolve(choice, download=progress)
    reference = statistics_reference(path, resolved)
    return [Target(resolved, reference, LazyNetwork(resolved, device))]


def _against_bundles(
    settings: ScoreSettings, device: str, progress: Progress | None
) -> list[Target]:
    name, extractor, choice = (
        str(settings.reference),
        settings.extractor,
        settings.extractor_choice,
    )
    _require_offered(name, extractor, choice)
    wanted = Wanted(extractor, choice.layer, choice.protocol, choice.precision)
    protocols: Sequence[str | None] = [choice.protocol]
    if choice.protocol == ALL_PROTOCOLS:
        wanted = wanted._replace(extractor=extractor or DEFAULT_EXTRACTOR)
        protocols = extractor_row(extractor or DEFAULT_EXTRACTOR).protocols or protocols
    targets = []
    for protocol in protocols:
        reference = open_reference(find_manifest(name, wanted._replace(protocol=protocol)))
        manifest = reference.manifest
        if extractor is not None and extractor != manifest.extractor:
            raise BundleError(
                f"reference {manifest.name!r} holds features of extractor "
                f"{manifest.extractor!r}, not of {extractor!r}"
            )
        built = manifest.settings
        resolved = extractor_row(manifest.extractor).resolve(
            replace(choice, protocol=protocol).filled(
                ExtractorChoice(
                    layer=built.get("layer"),
                    protocol=built.get("protocol"),
                    precision=built.get("precision"),
                )
            ),
            download=progress,
        )
        require_same_extractor(manifest, resolved)
        targets.append(Target(resolved, reference, LazyNetwork(resolved, device)))
    return targets


def _require_offered(name: str, extractor: str | None, choice: ExtractorChoice) -> None:
    """Raise for a layer, protocol or precision that the extractor does not have at all, before
    bundles are looked up for it.
    """
    every = choice.protocol == ALL_PROTOCOLS
    extractor = extractor or (None if every else DEFAULT_EXTRACTORS.get(name))
    if extractor is None:
        return
    row = extractor_row(extractor)
    row.settings_of(replace(choice, protocol=None) if every and row.protocols else choice)


def warning(code: str, message: str, fix: str, count: int = 1) -> FindingEntry:
    """Return a finding that does not stop the scoring."""
    return FindingEntry(
        code=code, severity="warning", count=count, examples=(), message=message, fix=fix
    )
