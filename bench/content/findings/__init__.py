"""`FINDINGS`: every diagnosis of the pixels of a folder, one file each, in the order of checking.

Another package adds rows through the entry-point group `latentbench.findings`; see
`bench.content` for a complete example.
"""

from __future__ import annotations

from bench.content.finding import ContentFinding
from bench.content.findings.class_imbalance import CLASS_IMBALANCE
from bench.content.findings.clipped_range import CLIPPED_RANGE
from bench.content.findings.collapse import COLLAPSE
from bench.content.findings.constant_images import CONSTANT_IMAGES
from bench.content.findings.copied_training_images import COPIED_TRAINING_IMAGES
from bench.content.findings.exact_duplicates import EXACT_DUPLICATES
from bench.content.findings.lossy_origin import LOSSY_ORIGIN
from bench.content.findings.missing_classes import MISSING_CLASSES
from bench.content.findings.narrow_range import NARROW_RANGE
from bench.content.findings.noisy import NOISY
from bench.content.findings.saturated_range import SATURATED_RANGE
from bench.content.findings.saving_mistakes import INVERTED, TANH, TWICE, WRAPPED
from bench.content.findings.sharpness import BLURRED, OVERSHARP
from bench.content.findings.undertrained import UNDERTRAINED
from bench.content.findings.unit_range import UNIT_RANGE
from bench.runtime.registry import Registry

# `unless` of a row names codes or groups of rows above it.
ROWS: tuple[ContentFinding, ...] = (
    CONSTANT_IMAGES,
    EXACT_DUPLICATES,
    COLLAPSE,
    UNIT_RANGE,
    TANH,
    WRAPPED,
    TWICE,
    INVERTED,
    UNDERTRAINED,
    SATURATED_RANGE,
    CLIPPED_RANGE,
    NARROW_RANGE,
    CLASS_IMBALANCE,
    MISSING_CLASSES,
    BLURRED,
    NOISY,
    OVERSHARP,
    LOSSY_ORIGIN,
    COPIED_TRAINING_IMAGES,
)

FINDINGS: Registry[ContentFinding] = Registry(
    "finding", "latentbench.findings", ContentFinding, ROWS
)
