"""Reading what somebody else made: a folder, zip, npz, npy or idx file becomes checked pixels.

    report = audit("samples/", spec=load_spec("mnist-10k"))
    report.valid, report.findings, report.images

    with ImageStream("samples/", resize=parse_size("256x256")) as stream:  # in bounded memory
        for images in stream:  # uint8 n,H,W,C
            ...
    stream.report.findings

It makes three promises. The pixels that are scored are the pixels in the files. One pass reports
every problem, with a code, a count, the first five names and the fix. Nothing in a submission can
harm the machine or another submission.

The files, in the order in which a submission passes through them:

    spec       requirements on a submission
    sizes      the size that a caller wants images resized to
    codes      the table of problems: code, message, fix, severity
    findings   a problem with its files, and the collector of problems
    names      file names: which are safe to print, and which to ignore
    failures   whatever one of several submissions raised, as an error to report
    sources    what kind of source a path is
    folder     list a folder
    archive    list a zip
    arrays     read an npz, npy or idx file
    npz        the array of an npz file that holds the images
    idx        the idx format
    decoder    run the decoding processes for the files of a folder or zip
    worker       such a process: read a file or zip entry, send its pixels
    formats      file formats and limits of size
    png          check a PNG file and inflate it
    pixels       decode one image
    unfilter   undo the row filters of many small PNGs at once
    memory     images that a program holds, in any of the usual forms
    image_set  blocks of images, digests, and the set that they form
    tally      number, sizes and colour modes of the set
    reading    the pass that joins all of these; `audit`, `read_images`
    stream     the same pass in a thread, in bounded memory
    repairs    write a corrected copy

The names below are loaded when they are first used, so that the decoding process, which imports
only `bench.intake.worker`, starts in milliseconds.
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
    from bench.intake.memory import images_in_memory as images_in_memory
    from bench.intake.names import split_array_name as split_array_name
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
    from bench.runtime.printable import sanitise as sanitise

_MODULES = {
    "Finding": "bench.intake.findings",
    "Severity": "bench.intake.codes",
    "ImageSet": "bench.intake.image_set",
    "SetIdentity": "bench.intake.image_set",
    "image_set_of": "bench.intake.image_set",
    "images_in_memory": "bench.intake.memory",
    "split_array_name": "bench.intake.names",
    "sanitise": "bench.runtime.printable",
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

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
