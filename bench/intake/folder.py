"""The contents of a folder: image files to decode, and everything that should not be there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import UsageError
from bench.intake.decoder import Entry
from bench.intake.findings import Collector
from bench.intake.formats import format_of_name
from bench.intake.names import is_clean, is_dropping
from bench.runtime.printable import sanitise


@dataclass
class Listing:
    """The image files of a folder or zip, sorted by the bytes of their names.

    `names` are the names of `entries` within the submission, without the common top folder of a
    zip; the name in an entry is the one by which the decoding process finds it. `num_images` counts
    everything that is named like an image, whether or not it can be decoded. `classes` are the
    folders of a set that is sorted into them, `others` the names of files of other kinds.
    """

    entries: list[Entry] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    num_images: int = 0
    subfolders: list[bytes] = field(default_factory=list)
    classes: list[bytes] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)

    def add(self, name: bytes, entry: Entry) -> None:
        self.names.append(name)
        self.entries.append(entry)

    def sort(self) -> None:
        """Sort by the bytes of the names; entries that share a name keep their order."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        self.names = [self.names[i] for i in order]
        self.entries = [self.entries[i] for i in order]


def list_folder(path: Path, collector: Collector, *, classes: bool = False) -> Listing:
    """List `path` one level deep, following no links. Raises `UsageError` if it is unreadable.

    With `classes`, a folder that holds no image itself may hold one folder of images for each class
    instead (the layout of torchvision's `ImageFolder`); names are then `CLASS/FILE`.
    """
    listing = Listing()
    bad: dict[str, list[bytes]] = {}
    _scan(os.fsencode(path), b"", listing, bad)
    if classes and not listing.num_images:
        for folder in sorted(bad.pop("nested-folder", [])):
            before = listing.num_images
            _scan(os.fsencode(path / os.fsdecode(folder)), folder + b"/", listing, bad)
            if listing.num_images > before:
                listing.classes.append(folder)
    for code, names in bad.items():
        collector.add(code, names)
    unprintable = [name for name in listing.names if not is_clean(name)]
    if unprintable:
        collector.add("bad-name", unprintable)
    listing.subfolders = sorted(bad.get("nested-folder", []))
    listing.others = bad.get("junk-file", [])
    listing.sort()
    return listing


def _scan(path: bytes, prefix: bytes, listing: Listing, bad: dict[str, list[bytes]]) -> None:
    """Add the images of one folder to `listing`, and everything else to `bad` by its code."""
    try:
        with os.scandir(path) as scan:
            for item in scan:
                code = _classify(item, listing)
                if code:
                    bad.setdefault(code, []).append(prefix + item.name)
                else:
                    listing.add(prefix + item.name, Entry(prefix + item.name))
    except OSError as error:
        raise UsageError(
            f"folder {sanitise(path, 400)} cannot be read: {error.strerror}. "
            "Check its permissions (chmod u+rx)."
        ) from error


def _classify(item: os.DirEntry[bytes], listing: Listing) -> str:
    """Return the code of the finding that keeps an item from being decoded, or "" for an image."""
    if is_dropping(item.name):
        return "ignored-file"
    is_image = format_of_name(item.name) is not None
    if item.is_file(follow_symlinks=False):
        listing.num_images += is_image
        return "" if is_image else "junk-file"
    if item.is_dir(follow_symlinks=False):
        return "nested-folder"
    listing.num_images += is_image
    return "symlink" if item.is_symlink() else "not-regular"
