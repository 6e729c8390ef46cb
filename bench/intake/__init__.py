"""Reading what someone else made: a folder, zip, npz, npy or idx file becomes checked pixels.

    report = audit("samples/", spec=load_spec("mnist-10k"))
    report.valid, report.findings, report.images

    with ImageStream("samples/", resize=parse_size("256x256")) as stream:  # memory stays bounded
        for images in stream:  # uint8 n,H,W,C
            ...
    stream.report.findings

Three promises: the pixels that are scored are the pixels in the files; every problem is reported in
one pass, with a code, a count, the first five names and the fix; nothing in a submission can hurt
the machine or another submission. The names below are loaded when first used, so that the decoding
process, which imports only `bench.intake.worker`, starts in milliseconds.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.intake.codes import Severity as Severity
    from bench.intake.findings import Finding as Finding
    from bench.intake.image_set import ImageSet as ImageSet
    from bench.intake.image_set import SetIdentity as SetIdentity
    from bench.intake.image_set import image_set_of as image_set_of
    from bench.intake.names import sanitise as sanitise
    from bench.intake.reading import AuditReport as AuditReport
    from bench.intake.reading import audit as audit
    from bench.intake.reading import read_images as read_images
    from bench.intake.repairs import RepairReport as RepairReport
    from bench.intake.repairs import repair as repair
    from bench.intake.sizes import Size as Size
    from bench.intake.sizes import parse_size as parse_size
    from bench.intake.spec import SubmissionSpec as SubmissionSpec
    from bench.intake.spec import builtin_specs as builtin_specs
    from bench.intake.spec import example_spec as example_spec
    from bench.intake.spec import load_spec as load_spec
    from bench.intake.stream import ImageStream as ImageStream

_HOMES = {
    "Finding": "findings",
    "Severity": "codes",
    "ImageSet": "image_set",
    "SetIdentity": "image_set",
    "image_set_of": "image_set",
    "sanitise": "names",
    "AuditReport": "reading",
    "audit": "reading",
    "read_images": "reading",
    "RepairReport": "repairs",
    "repair": "repairs",
    "Size": "sizes",
    "parse_size": "sizes",
    "SubmissionSpec": "spec",
    "builtin_specs": "spec",
    "example_spec": "spec",
    "load_spec": "spec",
    "ImageStream": "stream",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench.intake' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bench.intake.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
