"""Which code a detector's numbers come from: a digest of its module and of all that it imports.

A change of one file changes the digests of the detectors that can reach it, and of no others; see
`bench.runtime.code_digest`.
"""

from __future__ import annotations

from bench.anomaly.detectors.base import DetectorRow
from bench.anomaly.detectors.seen import extractor_of
from bench.extractors import extractor_row
from bench.runtime.code_digest import code_digest, has_source, module_of

JUDGING = "bench.statistics.roc"  # computes AUC and the like from scores


def detector_code(row: DetectorRow, extractor: str | None = None) -> str | None:
    """Return the digest of the code of a detector with the chosen extractor; None when its source
    cannot be found, as for one defined at a prompt.
    """
    modules = [module_of(row.make), JUDGING]
    name = extractor_of(row, extractor)
    if name is not None:
        modules.append(extractor_row(name).loader.partition(":")[0])
    return code_digest(*modules) if all(map(has_source, modules)) else None
