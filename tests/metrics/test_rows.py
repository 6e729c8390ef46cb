"""A row of the table of metrics is complete, or it is refused with the name of the field."""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, fields

import pytest

from bench.metrics import METRICS
from bench.metrics.base import Metric

FIELDS = {field.name: getattr(METRICS["kid_poly3"], field.name) for field in fields(Metric)}
REQUIRED = [
    field.name for field in fields(Metric) if MISSING is field.default is field.default_factory
]


def test_a_row_that_lacks_a_field_is_refused():
    assert {"title", "meaning", "unit", "citation", "direction", "scale"} <= set(REQUIRED)
    for name in REQUIRED:
        with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{name}'"):
            Metric(**{key: value for key, value in FIELDS.items() if key != name})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(
            ({text: " "}, f"^metric '.*': {text} is empty$")
            for text in ("name", "title", "meaning", "unit", "citation")
        ),
        ({"direction": "up"}, r"direction \['up'\]: expected lower, higher, target"),
        ({"scale": ""}, r"scale \[''\]: expected linear, log, symlog"),
        ({"sees": "some"}, r"sees \['some'\]: expected all, subset"),
        ({"reads": frozenset({"moments", "labels"})}, r"reads \['labels'\]: expected moments, "),
        ({"uses": frozenset({"curve"})}, r"uses \['curve'\]: expected neighbours, prd"),
    ],
)
def test_a_row_with_a_wrong_field_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(METRICS["kid_poly3"], **change)
