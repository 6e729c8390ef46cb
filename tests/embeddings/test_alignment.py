"""Rotations: against SciPy, exact on rotated copies, with and without a dictionary."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import orthogonal_procrustes

from bench.embeddings.adversarial import AdversarialSettings, align_without_dictionary
from bench.embeddings.alignment import fit_criterion, mutual_neighbours, orthogonal_map, refine
from bench.embeddings.question_files import Pair
from bench.embeddings.table import EmbeddingTable
from bench.embeddings.translation import SAME_SPELLING, translate
from bench.errors import InputError, UsageError
from tests.embeddings.test_retrieval import csls

RNG = np.random.default_rng(3)
DIM = 8


def rotation(dim: int = DIM) -> NDArray[np.float64]:
    return np.linalg.qr(RNG.standard_normal((dim, dim)))[0]


def skewed(n: int, dim: int = DIM) -> NDArray[np.float32]:
    """Vectors of no symmetric distribution, as those of words: a shape that can be recognised."""
    x = RNG.gamma(1.0, 1.0, (n, dim)) * np.linspace(2, 0.5, dim)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


X = skewed(300)
TURN = rotation()
TURNED = (X @ TURN.T).astype(np.float32)


def tables() -> tuple[EmbeddingTable, EmbeddingTable]:
    """A table and its rotation with other words, other lengths and in another order."""
    words = [f"w{number}" for number in range(300)]
    order = RNG.permutation(300)
    source = EmbeddingTable(words, X * RNG.uniform(1, 9, (300, 1)).astype(np.float32))
    return source, EmbeddingTable([f"z{number}" for number in order], TURNED[order])


def test_against_scipy() -> None:
    """SciPy's R maps rows by x R: it is the transpose of W."""
    noisy = TURNED + 0.3 * RNG.standard_normal(TURNED.shape)
    scipy_map, _ = orthogonal_procrustes(X.astype(np.float64), noisy)
    found = orthogonal_map(X, noisy)
    np.testing.assert_allclose(found, scipy_map.T, atol=1e-9)
    np.testing.assert_allclose(found @ found.T, np.eye(DIM), atol=1e-12)


def test_a_rotation_is_found_again() -> None:
    np.testing.assert_allclose(orthogonal_map(X, TURNED), TURN, atol=1e-6)
    with pytest.raises(InputError, match="pairs of vectors of one length"):
        orthogonal_map(X, TURNED[:, :3])
    with pytest.raises(InputError, match="pairs of vectors of one length"):
        orthogonal_map(X[:0], TURNED[:0])


def test_the_criterion_is_the_mean_csls_of_the_nearest() -> None:
    source, target = skewed(60), skewed(70)
    value = csls((source @ TURN.T).astype(np.float32), target, 10)
    assert fit_criterion(source, target, TURN) == pytest.approx(value.max(axis=1).mean(), abs=1e-6)


def test_mutual_neighbours() -> None:
    source, target = skewed(60), skewed(70)
    value = csls((source @ TURN.T).astype(np.float32), target, 10)
    forth, back = value.argmax(axis=1), value.argmax(axis=0)
    expected = [(i, forth[i]) for i in range(60) if back[forth[i]] == i]
    rows = mutual_neighbours(source, target, TURN)
    assert list(zip(*(row.tolist() for row in rows), strict=True)) == expected


def test_refinement_repairs_a_map_that_is_somewhat_off() -> None:
    small = np.linalg.qr(np.eye(DIM) + 0.15 * RNG.standard_normal((DIM, DIM)))[0]
    small *= np.sign(np.diag(small))
    start = TURN @ small
    assert np.abs(start - TURN).max() > 0.1
    found = refine(X, TURNED, start)
    np.testing.assert_allclose(found.rotation, TURN, atol=1e-5)
    assert found.num_pairs == 300


def test_a_dictionary_gives_precision_1_on_a_rotated_copy() -> None:
    source, target = tables()
    pairs = [Pair(f"w{number}", f"z{number}") for number in range(100)]
    found = translate(source, target, dictionary=pairs)
    assert found.alignment.num_pairs == 80
    assert found.tested_on == "a held-out fifth of the dictionary (seed 0)"
    assert {(one.criterion, one.rank) for one in found.precisions} == {
        (criterion, rank) for criterion in ("cosine", "csls") for rank in (1, 5, 10)
    }
    assert all(one.num_right == one.num_queries == 20 for one in found.precisions)
    assert not found.notes


def test_of_the_held_out_pairs_none_is_fitted() -> None:
    """Noise for the pairs that are held out: a leak would make their precision 1."""
    source, target = tables()
    pairs = [Pair(f"w{number}", f"z{number}") for number in range(300)]
    held_out = translate(source, target, dictionary=pairs, seed=4).queries
    vectors = target.vectors.copy()
    rows = [target.row(word.replace("w", "z")) for word in held_out]
    vectors[rows] = skewed(len(rows))
    noisy = EmbeddingTable(target.words, vectors)
    found = translate(source, noisy, dictionary=pairs, seed=4)
    np.testing.assert_allclose(found.alignment.rotation, TURN, atol=1e-5)
    assert found.precisions[0].num_right < 10


def test_a_test_dictionary_and_unknown_words() -> None:
    source, target = tables()
    fit = [Pair(f"w{number}", f"z{number}") for number in range(50)] + [Pair("no", "z1")]
    test = [Pair("w60", "z60"), Pair("w61", "z9"), Pair("w61", "z61"), Pair("no", "z1")]
    found = translate(source, target, dictionary=fit, test_dictionary=test)
    assert found.fitted_to == "50 pairs of the dictionary"
    assert (found.queries, found.num_unknown) == (["w60", "w61"], 1)
    assert [one.num_right for one in found.precisions] == [2] * 6
    assert found.found["csls"] == ["z60", "z61"]


def test_too_few_pairs_are_said() -> None:
    source, target = tables()
    found = translate(source, target, dictionary=[Pair(f"w{n}", f"z{n}") for n in range(5)])
    assert "4 known pairs for 8 dimensions" in found.notes[0]
    with pytest.raises(UsageError, match="leaves none to test on"):
        translate(source, target, dictionary=[Pair("w1", "z1")])
    with pytest.raises(UsageError, match="no pair of the dictionary has both words"):
        translate(source, target, dictionary=[Pair("a", "b")], test_dictionary=[Pair("w1", "z1")])
    with pytest.raises(UsageError, match="nothing to test on: no pair of the test dictionary"):
        translate(source, target, dictionary=[Pair("w1", "z1")], test_dictionary=[Pair("w1", "no")])
    with pytest.raises(UsageError, match="nothing to test on: no pair of words spelled the same"):
        translate(source, target)
    with pytest.raises(InputError, match="has 8 dimensions and .* 3"):
        translate(source, EmbeddingTable(["a"], np.ones((1, 3), np.float32), name="other"))


def test_an_adversarial_start_gives_a_rotation_and_the_same_one_again() -> None:
    settings = AdversarialSettings(num_starts=2, num_steps=4, check_every=2, num_hidden=8)
    found, again = (align_without_dictionary(X, TURNED, settings=settings) for _ in range(2))
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(DIM), atol=1e-9)
    np.testing.assert_array_equal(found.rotation, again.rotation)


def test_bad_settings_of_the_adversarial_start() -> None:
    with pytest.raises(UsageError, match="num_steps must be above 0, got 0"):
        AdversarialSettings(num_steps=0)
    with pytest.raises(InputError, match="8 and 3 dimensions"):
        align_without_dictionary(X, X[:, :3])


def test_without_any_dictionary_words_of_one_spelling_are_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The start is replaced by one near the right rotation."""
    monkeypatch.setattr(
        "bench.embeddings.adversarial.align_without_dictionary",
        lambda source, target, **_: refine(source, target, TURN),
    )
    source, target = tables()
    same = EmbeddingTable([word.replace("z", "w") for word in target.words], target.vectors)
    found = translate(source, same)
    assert found.tested_on == SAME_SPELLING
    assert all(one.num_right == one.num_queries == 300 for one in found.precisions)
