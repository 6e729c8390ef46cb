"""What submissions are compared with: extractors, each with the reference made for it.

A reference is given by the name of a bundle, by the path of its manifest, or as real images. With
`protocol="all"` there is a target for each protocol of the extractor, else one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.content import TrainingPixels, source_of, training_pixels
from bench.errors import BundleError, UsageError
from bench.extractors import ALL_PROTOCOLS, extractor_row, resolve_extractors
from bench.extractors.base import Extractor, ExtractorChoice, ResolvedExtractor
from bench.intake import Size, parse_size
from bench.records.score_record import FindingEntry, Submission
from bench.records.submission import submission_name
from bench.references.build import reference_from
from bench.references.bundle import (
    DEFAULT_EXTRACTORS,
    Reference,
    Wanted,
    find_manifest,
    is_known,
    load_reference,
    require_same_extractor,
)
from bench.references.real_images import RealImages
from bench.runtime.cache import Cache
from bench.runtime.progress import Progress

DEFAULT_EXTRACTOR = "inception"  # for real images without a bundle


class Target:
    """One extractor with the reference made for it: what gives one record."""

    def __init__(self, extractor: ResolvedExtractor, device: str) -> None:
        self.extractor = extractor
        self._device = device
        self.reference: Reference  # set by `open_targets`
        self.training_pixels: TrainingPixels | None = None

    @functools.cached_property
    def network(self) -> Extractor:
        return self.extractor.load(self._device)

    def warnings(self, submission: Submission) -> Iterator[FindingEntry]:
        """What a reader of the record must know about extractor and reference."""
        manifest = self.reference.manifest
        if (manifest.height_px, manifest.width_px) != (submission.height_px, submission.width_px):
            yield warning(
                "size-differs",
                f"images of {submission.width_px}x{submission.height_px} px against a reference of "
                f"{manifest.width_px}x{manifest.height_px} px; the extractor brings both to one "
                "size, and part of the distance is that of the sizes",
                f"generate that size, or --resize {manifest.width_px}x{manifest.height_px}",
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
        compiling = getattr(self.__dict__.get("network"), "compiling", None)  # when it was loaded
        failure = getattr(compiling, "failure", None)
        if failure is not None:
            yield warning(
                "not-compiled",
                f"compiling {self.extractor.name!r} failed, and the plain network went on: "
                f"{failure}",
                "PyTorch's compiler needs a C compiler; or leave --compile out",
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
    reference: str,
    extractor: str | None,
    choice: ExtractorChoice,
    *,
    resize: Size | None,
    subset: int,
    device: str,
    cache: Cache,
    progress: Progress | None,
) -> list[Target]:
    """The targets for a reference and what was said about the extractor. Raises what
    `bench.scoring.scorer.Scorer` says.
    """
    if not reference:
        raise UsageError("an empty reference: give a name, a manifest, or a folder of real images")
    if extractor is not None:
        extractor_row(extractor)
    if not _is_images(reference):
        return _against_bundles(reference, extractor, choice, device, progress)
    path = Path(reference)
    resolved = resolve_extractors(extractor or DEFAULT_EXTRACTOR, choice, download=progress)
    targets = [Target(one, device) for one in resolved]
    references = reference_from(
        submission_name(path),
        RealImages(path, resize),
        [(target.extractor, functools.partial(getattr, target, "network")) for target in targets],
        subset=subset,
        device=device,
        cache=cache,
        progress=progress,
    )
    for target, made in zip(targets, references, strict=True):
        target.reference = made
        if made.content is not None:
            target.training_pixels = training_pixels(path, made.content.hashes, resize=resize)
    return targets


def _is_images(reference: str) -> bool:
    """Whether a reference is given as real images: a path that is no manifest and no known name."""
    if reference.endswith(".json"):
        return False
    return Path(reference).exists() and ("/" in reference or not is_known(reference))


def _against_bundles(
    name: str,
    extractor: str | None,
    choice: ExtractorChoice,
    device: str,
    progress: Progress | None,
) -> list[Target]:
    _require_offered(name, extractor, choice)
    wanted = Wanted(extractor, choice.layer, choice.protocol, choice.precision)
    protocols: Sequence[str | None] = [choice.protocol]
    if choice.protocol == ALL_PROTOCOLS:
        wanted = wanted._replace(extractor=extractor or DEFAULT_EXTRACTOR)
        protocols = extractor_row(extractor or DEFAULT_EXTRACTOR).protocols or protocols
    targets = []
    for protocol in protocols:
        reference = load_reference(find_manifest(name, wanted._replace(protocol=protocol)))
        manifest = reference.manifest
        if extractor is not None and extractor != manifest.extractor:
            raise BundleError(
                f"reference {manifest.name!r} holds features of extractor "
                f"{manifest.extractor!r}, not of {extractor!r}"
            )
        built = manifest.settings
        resolved = extractor_row(manifest.extractor).resolve(
            replace(
                choice,
                layer=choice.layer or built.get("layer"),
                protocol=protocol or built.get("protocol"),
                precision=choice.precision or built.get("precision"),
            ),
            download=progress,
        )
        require_same_extractor(manifest, resolved)
        target = Target(resolved, device)
        target.reference = reference
        target.training_pixels = training_pixels_of(reference)
        targets.append(target)
    return targets


def training_pixels_of(reference: Reference) -> TrainingPixels | None:
    """The train images of a bundle, where they lie on this machine still."""
    manifest = reference.manifest
    source = source_of(manifest.command)
    if reference.content is None or source is None:
        return None
    resize = None if manifest.resize is None else parse_size(manifest.resize)
    return training_pixels(source, reference.content.hashes, resize=resize)


def _require_offered(name: str, extractor: str | None, choice: ExtractorChoice) -> None:
    """Raises for a layer, protocol or precision that the extractor does not have at all, before
    any word of bundles that lack it.
    """
    every = choice.protocol == ALL_PROTOCOLS
    extractor = extractor or (None if every else DEFAULT_EXTRACTORS.get(name))
    if extractor is None:
        return
    row = extractor_row(extractor)
    row.settings_of(replace(choice, protocol=None) if every and row.protocols else choice)


def warning(code: str, message: str, fix: str, count: int = 1) -> FindingEntry:
    """A finding that does not stop the scoring."""
    return FindingEntry(
        code=code, severity="warning", count=count, examples=(), message=message, fix=fix
    )
