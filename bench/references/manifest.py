"""The manifest of a reference bundle: what the bundle is, without its arrays.

Version 1 does not say where the images came from. For such a file, `sources` is read from the
command that built the bundle; everything else is the same in both versions.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError, model_validator

from bench.data.sources import DataSource
from bench.errors import BundleError

SCHEMA_VERSION: Final = 2


class Manifest(BaseModel):
    """The identity of a bundle. Digests are SHA-256 in hex."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1, 2] = 1  # 1 when a file does not say
    name: str
    extractor: str
    extractor_digest: str  # of the weights
    height_px: int  # 0 for a statistics file, which does not say it
    width_px: int
    channels: Literal[1, 3]
    num_train: int  # images, 0 for a statistics file that does not say it
    num_test: int  # images, 0 without a test split
    num_subset: int  # images of the train split whose features are stored
    subset_seed: int
    data_digests: dict[str, str]  # split -> digest of its pixels
    code_version: str
    command: str  # rebuilds the bundle
    arrays_sha256: str
    settings: dict[str, str] = {}  # of the extractor: layer, protocol, precision
    resize: str | None = None  # WIDTHxHEIGHT that images of other sizes were brought to
    held_out: dict[str, dict[str, FiniteFloat | None]] = {}  # "n:seed" -> metric -> value
    sources: dict[str, DataSource] = {}  # split -> where its images were read

    @model_validator(mode="before")
    @classmethod
    def _with_sources(cls, data: Any) -> Any:
        """Fill in the sources that version 1 lacks."""
        if not isinstance(data, dict) or data.get("schema_version", 1) != 1:
            return data
        return {**data, "sources": _sources_of_command(str(data.get("command", "")))}

    @property
    def label(self) -> str:
        """The extractor with its settings, which tells bundles of one name apart."""
        return " ".join([self.extractor, *self.settings.values()])

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest as it is written, which holds that of the arrays."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def split_of(self, pixel_digest: str) -> str | None:
        """Return the split whose images have that digest, "train" or "test"; None for no split."""
        splits = [split for split, digest in self.data_digests.items() if digest == pixel_digest]
        return splits[0] if splits else None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are written: version 1 has no `sources`."""
        return self.model_dump(
            mode="json", exclude={"sources"} if self.schema_version == 1 else None
        )

    def to_json(self) -> bytes:
        """Return the manifest as it is written to disk."""
        return (json.dumps(self.to_dict(), indent=1) + "\n").encode()


def _sources_of_command(command: str) -> dict[str, DataSource]:
    """Return the source of each split from the command that built a bundle of version 1."""
    try:
        words = shlex.split(command)
    except ValueError:  # unbalanced quotes: not a command line
        return {}
    options = dict(reversed([*pairwise(words)]))  # the first of two equal options counts
    sources: dict[str, DataSource] = {}
    for split in ("train", "test"):
        if f"--{split}" in options:
            sources[split] = DataSource(path=options[f"--{split}"])
        elif "--data" in options:
            sources[split] = DataSource(dataset=options["--data"])
    return sources


def read_manifest(file: Traversable) -> Manifest:
    """Read the manifest of one bundle. Raises `BundleError` naming the file and the field."""
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        detail = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            detail = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
        raise BundleError(f"{file}: not a reference manifest: {detail}") from error
