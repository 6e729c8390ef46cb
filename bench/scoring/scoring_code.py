"""The digest of the code that a score comes from."""

from __future__ import annotations

from collections.abc import Iterable

from bench.anomaly.detectors.base import DetectorRow
from bench.extractors.base import ResolvedExtractor
from bench.metrics.base import Metric
from bench.runtime.code_digest import code_digest, module_of

SHOWN = ("bench.scoring.report_pictures", "bench.content.pictures")  # what a page shows
# Imported by the scorer, and left out: what a page shows, and the table of detectors, of which only
# the one that is used counts.
WITHOUT = frozenset({*SHOWN, "bench.anomaly.detectors"})


def scoring_code(
    extractor: ResolvedExtractor, metrics: Iterable[Metric], detector: DetectorRow | None = None
) -> str:
    """Return the digest of the code that scores with this extractor, these metrics and, for
    `anomaly_auc`, this detector.

    It covers the scorer and what it imports, which includes all metrics of this package, so that
    the choice of metrics changes it for those of other packages only.
    """
    modules = {extractor.row.loader.partition(":")[0]}
    modules |= {module_of(metric.compute) for metric in metrics}
    if detector is not None:
        modules.add(module_of(detector.make))
    return code_digest("bench.scoring.scorer", *sorted(modules), without=WITHOUT)


def picture_code() -> str:
    """Return the digest of the code that chooses what a page shows of a submission."""
    return code_digest(*SHOWN)
