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

from typing import TYPE_CHECKING

from bench.runtime.lazy_names import lazy_names

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
    "Finding": "bench.intake.findings",
    "Severity": "bench.intake.codes",
    "ImageSet": "bench.intake.image_set",
    "SetIdentity": "bench.intake.image_set",
    "image_set_of": "bench.intake.image_set",
    "sanitise": "bench.intake.names",
    "AuditReport": "bench.intake.reading",
    "audit": "bench.intake.reading",
    "read_images": "bench.intake.reading",
    "RepairReport": "bench.intake.repairs",
    "repair": "bench.intake.repairs",
    "Size": "bench.intake.sizes",
    "parse_size": "bench.intake.sizes",
    "SubmissionSpec": "bench.intake.spec",
    "builtin_specs": "bench.intake.spec",
    "example_spec": "bench.intake.spec",
    "load_spec": "bench.intake.spec",
    "ImageStream": "bench.intake.stream",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
