"""`SubmissionSpec`: what a submission must be, read from TOML.

name = "mnist-10k"
description = "10,000 generated MNIST digits"
count = 10000        # images; omit for any number
width_px = 28        # omit for any width
height_px = 28
mode = "grey"        # grey (RGB with R=G=B counts as grey), rgb, any
formats = ["png"]    # png, jpeg, webp, bmp, tiff, npz, npy, idx
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UnknownNameError, UsageError
from bench.intake.names import sanitise

Format = Literal["png", "jpeg", "webp", "bmp", "tiff", "npz", "npy", "idx"]


class SubmissionSpec(BaseModel):
    """What is expected; anything else in a submission is then an error. Unknown keys raise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    description: str = ""
    count: int | None = Field(default=None, ge=1)  # images
    width_px: int | None = Field(default=None, ge=1)
    height_px: int | None = Field(default=None, ge=1)
    mode: Literal["grey", "rgb", "any"] = "any"
    formats: tuple[Format, ...] = Field(default=("png",), min_length=1)


def builtin_specs() -> tuple[str, ...]:
    """Names that `load_spec` knows without a file."""
    folder = files("bench.intake") / "specs"
    return tuple(
        sorted(f.name[: -len(".toml")] for f in folder.iterdir() if f.name.endswith(".toml"))
    )


def load_spec(name_or_path: str) -> SubmissionSpec:
    """A built-in spec by name, or one from a TOML file (a name with a slash or ending in .toml).

    Raises `UnknownNameError` listing the built-in names, `UsageError` naming the file and the key.
    """
    if name_or_path in builtin_specs():
        resource = files("bench.intake") / "specs" / f"{name_or_path}.toml"
        return _parse(resource.read_bytes(), f"built-in spec {name_or_path}")
    path = Path(name_or_path)
    if not (path.suffix == ".toml" or "/" in name_or_path):
        raise UnknownNameError("spec", sanitise(name_or_path), builtin_specs())
    shown = sanitise(str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"spec {shown} cannot be read: {error.strerror}") from error
    return _parse(data, f"spec {shown}")


def _parse(data: bytes, source: str) -> SubmissionSpec:
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise UsageError(f"{source} is not valid TOML: {sanitise(str(error))}") from error
    try:
        return SubmissionSpec.model_validate(table)
    except ValidationError as error:
        problems = "; ".join(
            f"{sanitise('.'.join(map(str, item['loc'])))}: {sanitise(item['msg'])}"
            for item in error.errors()
        )
        valid = ", ".join(SubmissionSpec.model_fields)
        raise UsageError(f"{source}: {problems}. Valid keys: {valid}") from error
