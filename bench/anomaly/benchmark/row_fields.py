"""What a row of the records file must hold for the page: keys and types by kind.

A row may have other keys as well (`bench.anomaly.benchmark.rows` writes more).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from bench.anomaly.detectors.base import Labels

Auc = Annotated[FiniteFloat, Field(ge=0, le=1)]
SHOWN = 3  # faults of one row that are named


class _Row(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    data: str


class _OfVariant(_Row):
    detector: str
    budget: str
    extractor: str


class _Class(_OfVariant):
    kind: Literal["class"]
    normal_class: int
    seed: int
    device: str
    auc: Auc
    low: Auc | None  # None with one test image on a side
    high: Auc | None
    average_precision: Auc
    fpr_at_95_tpr: Auc


class _Mean(_OfVariant):
    kind: Literal["mean"]
    labels: Labels
    seen: str
    trains: bool
    seeded: bool
    seeds: list[int]
    num_seeds: int
    auc: Auc
    low: FiniteFloat
    high: FiniteFloat
    average_precision: Auc
    fpr_at_95_tpr: Auc
    fit_s: FiniteFloat
    score_s: FiniteFloat


class _Pair(_Row):
    kind: Literal["pair"]
    first: str
    second: str
    estimate: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    p_value: Auc
    p_adjusted: Auc


class _Contamination(_OfVariant):
    kind: Literal["contamination"]
    normal_class: int
    contaminant: int
    share: FiniteFloat
    device: str
    auc: Auc
    low: Auc | None
    high: Auc | None


class _ContaminationMean(_OfVariant):
    kind: Literal["contamination-mean"]
    share: FiniteFloat
    pairs: str
    num_pairs: int
    auc: Auc
    low: FiniteFloat
    high: FiniteFloat


class _Run(_Row):
    kind: Literal["run"]
    command: str


_ROW: TypeAdapter[BaseModel] = TypeAdapter(
    Annotated[
        _Class | _Mean | _Pair | _Contamination | _ContaminationMean | _Run,
        Field(discriminator="kind"),
    ]
)


def fault_of(row: Any) -> str | None:
    """Return why a JSON value is not a row, or None when it is one."""
    if not isinstance(row, dict):
        return f"expected a JSON object, got {type(row).__name__}"
    try:
        _ROW.validate_python(row)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, one['loc'][1:])) or 'kind'}: {one['msg']}"
            for one in error.errors()
        ]
        more = "" if len(faults) <= SHOWN else f"; {len(faults) - SHOWN} more"
        return "; ".join(faults[:SHOWN]) + more
    return None
