"""Measures of a latent space, on arrays and callables; no training code.

values       what a measure is; a value, or the reason why there is none
space        what a model offers, the checks of it; pixels and PCA as spaces
data         labelled images, their features, a classifier
context      one space on one data set: the codes that several groups share
GROUP        pure functions on arrays, the rows of their measures, and `measure_GROUP(context)`
measures     the table of all measures
evaluation   all groups in one call
record       every value of one space, as a file

`bench.latent.evaluate(space, data)` is the one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from bench.latent.data import LabelledImages as LabelledImages
    from bench.latent.data import LatentData as LatentData
    from bench.latent.evaluation import evaluate as evaluate
    from bench.latent.loading import load_latent_data as load_latent_data
    from bench.latent.record import LatentRecord as LatentRecord
    from bench.latent.record import read_latent_record as read_latent_record

_MODULES = {
    "LabelledImages": "bench.latent.data",
    "LatentData": "bench.latent.data",
    "evaluate": "bench.latent.evaluation",
    "load_latent_data": "bench.latent.loading",
    "LatentRecord": "bench.latent.record",
    "read_latent_record": "bench.latent.record",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
