"""`SubmissionSpec`: the requirements that a submission must meet, read from a TOML file.

`example_spec` returns such a file with every key explained.
"""

from __future__ import annotations

import json
import textwrap
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UnknownNameError, UsageError
from bench.runtime.printable import sanitise

Format = Literal["png", "jpeg", "webp", "bmp", "tiff", "npz", "npy", "idx"]
COMMENT_WIDTH = 78
MAX_SPEC_BYTES = 1 << 20


class SubmissionSpec(BaseModel):
    """Requirements on a submission. An image that does not meet them becomes an error.

    Raises `pydantic.ValidationError` for an unknown key or a value outside its range.

    >>> SubmissionSpec(name="digits", count=1000, mode="grey").formats
    ('png',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        description="The name of this spec, as it appears in messages.", examples=["my-course"]
    )
    description: str = Field(
        default="", description="One sentence for the people who hand in images."
    )
    count: int | None = Field(
        default=None,
        ge=1,
        description="How many images a submission holds. Without it, any number is accepted.",
        examples=[10_000],
    )
    width_px: int | None = Field(
        default=None,
        ge=1,
        description="Width of every image in pixels. Without it, any width is accepted.",
        examples=[28],
    )
    height_px: int | None = Field(
        default=None,
        ge=1,
        description="Height of every image in pixels. Without it, any height is accepted.",
        examples=[28],
    )
    mode: Literal["grey", "rgb", "any"] = Field(
        default="any",
        description='Colour mode: "grey" (RGB files with R=G=B count as grey), "rgb" or "any".',
    )
    formats: tuple[Format, ...] = Field(
        default=("png",),
        min_length=1,
        description='Accepted formats, one or more of "png", "jpeg", "webp", "bmp", "tiff" (files '
        'in a folder or zip), "npz", "npy" and "idx" (one array in one file). JPEG, and some WebP '
        "and TIFF files, are lossy: the loss of detail changes every score.",
    )


def builtin_specs() -> tuple[str, ...]:
    """Return the names that `load_spec` accepts without a file, sorted.

    >>> "mnist-10k" in builtin_specs()
    True
    """
    folder = files("bench.intake") / "specs"
    return tuple(
        sorted(f.name[: -len(".toml")] for f in folder.iterdir() if f.name.endswith(".toml"))
    )


def is_builtin(spec: SubmissionSpec) -> bool:
    """Return whether a spec is one that `load_spec` accepts by its name.

    >>> is_builtin(load_spec("mnist-10k")), is_builtin(SubmissionSpec(name="mnist-10k"))
    (True, False)
    """
    return spec.name in builtin_specs() and spec == load_spec(spec.name)


def load_spec(name_or_path: str) -> SubmissionSpec:
    """Return a built-in spec by its name, or the spec in a TOML file.

    `name_or_path` is a path if it ends in .toml or contains a slash. Raises `UnknownNameError`,
    which lists the built-in names, and `UsageError`, which names the file and the key at fault.

    >>> load_spec("mnist-10k").count
    10000
    """
    if name_or_path in builtin_specs():
        resource = files("bench.intake") / "specs" / f"{name_or_path}.toml"
        return _parse(resource.read_bytes(), f"built-in spec {name_or_path}")
    path = Path(name_or_path)
    if not (path.suffix == ".toml" or "/" in name_or_path):
        raise UnknownNameError("spec", sanitise(name_or_path), builtin_specs())
    shown = sanitise(str(path))
    try:
        size = path.stat().st_size
        if size > MAX_SPEC_BYTES:
            raise UsageError(f"{shown} is not a spec: it has {size:,} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"spec {shown} cannot be read: {error.strerror}") from error
    return _parse(data, f"spec {shown}")


def example_spec() -> str:
    """Return a TOML spec file with every key explained in a comment; it is valid as it is.

    Keys with a default are set to it. Keys without one (`count` and the sizes) are commented out
    and show an example value.

    >>> print(example_spec().splitlines()[-1])
    formats = ["png"]
    """
    parts = ["# What a submission must look like, for `latentbench audit --spec FILE`."]
    for name, field in SubmissionSpec.model_fields.items():
        comment = textwrap.wrap(str(field.description), COMMENT_WIDTH)
        has_value = field.is_required() or field.default is not None
        value = field.examples[0] if field.examples else field.default
        line = f"{name} = {json.dumps(value)}"  # JSON strings, numbers and lists are TOML too
        parts.append(
            "\n".join([*(f"# {text}" for text in comment), line if has_value else f"# {line}"])
        )
    return "\n\n".join(parts) + "\n"


def _parse(data: bytes, source: str) -> SubmissionSpec:
    try:
        import tomllib

        table = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise UsageError(f"{source} is not valid TOML: {sanitise(str(error))}") from error
    except RecursionError as error:
        raise UsageError(f"{source} is not a spec: its values are nested too deeply") from error
    try:
        return SubmissionSpec.model_validate(table)
    except ValidationError as error:
        problems = "; ".join(
            f"{sanitise('.'.join(map(str, item['loc'])))}: {sanitise(item['msg'])}"
            for item in error.errors()
        )
        valid = ", ".join(SubmissionSpec.model_fields)
        raise UsageError(f"{source}: {problems}. Valid keys: {valid}") from error
