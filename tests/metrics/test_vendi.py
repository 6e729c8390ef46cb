"""Vendi score against the paper's vectors and the N x N kernel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.metrics.base import UndefinedMetric
from bench.metrics.vendi import vendi_score


def vendi_from_kernel(k):
    """The definition: exp of the entropy of the eigenvalues of K / N."""
    shares = np.linalg.eigvalsh(k / len(k))
    shares = shares[shares > 0]
    return np.exp(-(shares * np.log(shares)).sum())


def cosine_kernel(f):
    rows = f.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def test_the_kernel_form_gives_the_vectors_of_the_reference_implementation():
    # vertaix/Vendi-Score README; `vendi_score` is compared with this form below
    x = np.array([0.0, 0, 10, 10, 20, 20])
    assert vendi_from_kernel(np.exp(-np.abs(x[:, None] - x))) == pytest.approx(3.0, abs=1e-3)
    k = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    assert vendi_from_kernel(k) == pytest.approx(2.1573, abs=5e-5)


def test_orthogonal_rows_count_one_each():
    assert vendi_score(np.eye(5) * [1, 2, 3, 4, 5]) == pytest.approx(5, rel=1e-13)
    assert vendi_score(np.repeat(np.eye(5), 3, axis=0)) == pytest.approx(5, rel=1e-13)
    assert vendi_score(np.tile([1.0, -2, 3], (7, 1))) == pytest.approx(1, rel=1e-13)
    assert vendi_score(np.array([[1.0, 2]])) == pytest.approx(1, rel=1e-13)


def test_rows_of_zeros_are_one_more_image():
    assert vendi_score(np.zeros((4, 3))) == 1
    f = np.array([[1.0, 0], [1, 0], [0, 0], [0, 0]])
    assert vendi_score(f) == pytest.approx(2, rel=1e-13)


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 6)),
        elements=st.floats(-(2.0**100), 2.0**100, width=32).filter(lambda v: abs(v) > 1e-20),
    )
)
def test_equals_the_kernel_form(f):
    assert vendi_score(f) == pytest.approx(vendi_from_kernel(cosine_kernel(f)), rel=1e-9)
    assert 1 - 1e-12 <= vendi_score(f) <= min(f.shape) + 1e-9


def test_undefined():
    with pytest.raises(UndefinedMetric, match="NaN"):
        vendi_score(np.array([[1.0, np.nan]]))
