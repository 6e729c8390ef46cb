"""Write samples as a folder of PNG files, the interface between generators and scores.

The folder holds images only; the manifest, which says what made them, is a file next to it.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.errors import UsageError
from bench.runtime.progress import Progress
from bench.runtime.whole_files import write_atomically

SAMPLE_NAME = re.compile(r"\d{5,}\.png")


def require_free(folder: Path, *, replace: bool = False) -> None:
    """Raise `UsageError` for a path that is not a folder and for a folder that is not empty. With
    `replace`, a folder that holds only samples is allowed.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{folder} is not a folder; give a new one")
    if folder.exists():
        present = sorted(path.name for path in folder.iterdir())
        foreign = present if not replace else [n for n in present if not SAMPLE_NAME.fullmatch(n)]
        if foreign:
            raise UsageError(
                f"{folder} is not empty ({foreign[0]!r} and {len(foreign) - 1} more); "
                "give a new folder"
            )


def write_samples(
    images: NDArray[np.uint8],
    folder: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write uint8 N,H,W,C (C 1 or 3) as `00000.png` and so on. An error leaves no partial folder.

    Raises `UsageError` as `require_free` does.
    """
    require_free(folder, replace=replace)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        width = max(5, len(str(len(images) - 1)))
        for number, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
            picture.save(temporary / f"{number:0{width}d}.png")
            if progress is not None and number % 100 == 99:
                progress("write", number + 1, len(images))
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def manifest_path(folder: Path) -> Path:
    """Return the path of a folder's manifest.

    >>> print(manifest_path(Path("samples")))
    samples.manifest.json
    """
    return folder.with_name(f"{folder.name}.manifest.json")


def write_manifest(folder: Path, content: Mapping[str, object]) -> None:
    """Write the manifest of a folder of samples as JSON next to it."""
    write_atomically(manifest_path(folder), (json.dumps(content, indent=2) + "\n").encode())
