"""Where the images of a submission lie in the folder that somebody handed in."""

from __future__ import annotations

from pathlib import Path

from bench.errors import InputError, reason_of
from bench.intake.formats import EXTENSIONS
from bench.intake.names import is_dropping
from bench.runtime.printable import sanitise

ARCHIVES = (".zip", ".npz", ".npy", ".idx", ".gz")
SAMPLES = "samples"
IMAGES = tuple(f".{extension.decode()}" for extension in EXTENSIONS)


def images_folder(folder: Path) -> Path:
    """Return where the images are: `samples`, the folder itself, or the only thing in it.

    A folder in which nothing is found is the submission, whose audit says what is wrong. Raises
    `InputError` for a folder that cannot be read.
    """
    inside = children_of(folder)
    for child in inside:
        if child.is_dir() and child.name.lower() == SAMPLES:
            return child
    if any(is_image(child) for child in inside):
        return folder
    found = [child for child in inside if child.is_dir() and any(map(is_image, children_of(child)))]
    found += [child for child in inside if child.suffix.lower() in ARCHIVES]
    return found[0] if len(found) == 1 else folder


def children_of(folder: Path) -> list[Path]:
    """Return the visible files and folders of a folder by name, without what an operating system
    or a notebook left behind. Raises `InputError` for a folder that cannot be read.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{sanitise(str(folder))}: {reason_of(error)}") from error
    return [
        path
        for path in found
        if not is_dropping(path.name.encode("utf-8", "surrogateescape"))
        and not path.name.startswith(".")
    ]


def is_image(path: Path) -> bool:
    """Return whether a path looks like an image file by its name."""
    return path.suffix.lower() in IMAGES and not path.is_dir()
