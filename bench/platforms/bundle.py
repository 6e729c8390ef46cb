"""`write_bundle`: the files of a platform as a folder, and the archive that is uploaded."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, ImageDraw

from bench.errors import UsageError, reason_of
from bench.metrics.base import Metric
from bench.platforms.settings import PlatformSettings
from bench.platforms.wheel import archive
from bench.runtime.provenance import version
from bench.runtime.whole_files import write_atomically
from bench.tables.directions import DIRECTIONS

NOT_NAMED = "YOUR-REGISTRY-NAME/latentbench"  # no image has it: the platform says so at once
LOGO_PX = 256
IMAGE_GB = 1.4  # on disk, from the sizes of the installed wheels; see reports/platforms/README.md
LIMIT_S = 600  # for one submission


class Parts(NamedTuple):
    """What every bundle is made of: the settings, their files, the wheel, the image's name."""

    settings: PlatformSettings
    data: Mapping[str, bytes]
    wheel_name: str
    wheel: bytes
    image: str

    def text(self, template: str, **more: Any) -> bytes:
        """Return a template of `bench/platforms/templates`, filled in."""
        return text(
            template,
            settings=self.settings,
            columns=self.settings.columns,
            wheel=self.wheel_name,
            image=self.image,
            files=sorted(self.data),
            image_gb=IMAGE_GB,
            limit_s=LIMIT_S,
            **more,
        )


class Archive(NamedTuple):
    """An archive inside a bundle: the name, the files with the folder that they lie in, and which
    of them are programs. The names in the archive are without that folder.
    """

    name: str
    folder: str
    executable: tuple[str, ...] = ()


class Platform(NamedTuple):
    """A row of the table of platforms.

    `files` returns the files of the bundle by path; `uploads` are archives of parts of them, which
    may contain earlier ones. `next_steps` says what staff do with the bundle.
    """

    name: str
    title: str
    files: Callable[[Parts], dict[str, bytes]]
    uploads: tuple[Archive, ...]
    next_steps: str


def write_bundle(platform: Platform, parts: Parts, out: Path) -> list[Path]:
    """Write a bundle into a new or empty folder, and return its files.

    Raises `UsageError` for a folder that is not empty, or that cannot be written.
    """
    files = bundle_files(platform, parts)
    programs = {f"{one.folder}{name}" for one in platform.uploads for name in one.executable}
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} exists and is not an empty folder; name a new one")
        for name, data in files.items():
            write_atomically(out / name, data)
            if name in programs:
                (out / name).chmod(0o755)
    except OSError as error:
        raise UsageError(f"{out}: the bundle cannot be written: {reason_of(error)}") from error
    return [out / name for name in files]


def bundle_files(platform: Platform, parts: Parts) -> dict[str, bytes]:
    """Return the files of a bundle by path, with its archives and README.md."""
    files = platform.files(parts)
    for one in platform.uploads:
        inside = {
            name.removeprefix(one.folder): data
            for name, data in files.items()
            if name.startswith(one.folder)
        }
        files[one.name] = archive(inside, one.executable)
    files["README.md"] = parts.text(f"{platform.name}/README.md")
    return dict(sorted(files.items()))


def text(template: str, **values: Any) -> bytes:
    """Return a template of `bench/platforms/templates`, filled in. Strings in YAML, JSON and HTML
    are quoted by the template with `tojson` or `e`.
    """
    environment = Environment(  # noqa: S701  (not HTML, but for pages that escape with `e`)
        loader=PackageLoader("bench.platforms"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["better"] = better
    environment.filters["sorting"] = sorting
    return environment.get_template(f"{template}.j2").render(version=version(), **values).encode()


def better(metric: Metric) -> str:
    """Return in words which values of a metric are better."""
    return DIRECTIONS[metric.direction].phrase


def sorting(metric: Metric) -> str:
    """Return how a leaderboard sorts a column: "asc" where lower is better, else "desc".

    >>> from bench.metrics import METRICS
    >>> sorting(METRICS.find("fid")), sorting(METRICS.find("recall_k3"))
    ('asc', 'desc')
    """
    return "asc" if metric.direction == "lower" else "desc"


def dockerfile(parts: Parts, command: str = "") -> bytes:
    """Return the Dockerfile of an image with the package and the CPU build of PyTorch."""
    return parts.text("Dockerfile", command=command)


def logo() -> bytes:
    """Return the picture that platforms demand of a competition: a PNG of bars."""
    picture = Image.new("L", (LOGO_PX, LOGO_PX), 255)
    draw = ImageDraw.Draw(picture)
    for place, height in enumerate((60, 110, 90, 170, 210)):
        left = 24 + 44 * place
        draw.rectangle((left, 232 - height, left + 31, 231), fill=40 + 30 * place)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def template_names() -> list[str]:
    """Return the names of all templates, which a test renders."""
    root = Path(str(resources.files("bench.platforms"))) / "templates"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.j2"))
