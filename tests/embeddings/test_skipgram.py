"""Skip-gram: the gradient against autograd, pairs and text by hand, words of equal meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.embeddings.corpus import read_corpus
from bench.embeddings.retrieval import nearest_words
from bench.embeddings.skipgram import (
    SkipGramSettings,
    keep_probability,
    take_step,
    train,
    window_pairs,
)
from bench.errors import InputError, NothingFoundError, UsageError

TEXT = """Don't stop—the mother-in-law's cat, 3 cats!

cat CAT
naïve_café cat"""


def write(folder: Path, data: str | bytes) -> Path:
    path = folder / "c.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_words_and_paragraphs(tmp_path: Path) -> None:
    found = read_corpus(write(tmp_path, TEXT), min_count=1)
    assert found.words[0] == "cat"
    assert set(found.words) == {
        "cat", "3", "café", "cats", "don't", "mother-in-law's", "naïve", "stop", "the",
    }  # fmt: skip
    assert found.words[1:] == sorted(found.words[1:])
    assert found.counts.tolist() == [4] + [1] * 8
    first = ["don't", "stop", "the", "mother-in-law's", "cat", "3", "cats"]
    assert [found.words[token] for token in found.tokens] == [
        *first, "cat", "cat", "naïve", "café", "cat",
    ]  # fmt: skip
    assert found.paragraphs.tolist() == [0] * 7 + [1] * 5
    assert found.num_tokens == 12


def test_rare_words_are_left_out_of_the_text(tmp_path: Path) -> None:
    found = read_corpus(write(tmp_path, "a b a c b a"), min_count=2)
    assert (found.words, found.tokens.tolist()) == (["a", "b"], [0, 1, 0, 1, 0])
    assert found.num_tokens == 6


def test_bad_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="c.txt, line 2: not UTF-8"):
        read_corpus(write(tmp_path, b"a\n\xff\n"))
    with pytest.raises(NothingFoundError, match="1 words occur 5 times or more, of 7 in all"):
        read_corpus(write(tmp_path, "a a a a a b b"))
    with pytest.raises(NothingFoundError, match="0 words"):
        read_corpus(write(tmp_path, ""))
    with pytest.raises(UsageError, match="No such file"):
        read_corpus(tmp_path / "missing")
    with pytest.raises(UsageError, match="at least 1, got 0"):
        read_corpus(tmp_path / "missing", min_count=0)


def test_pairs_of_a_window_by_hand() -> None:
    tokens = np.array([1, 2, 3, 4], np.int32)
    pairs = window_pairs(tokens, np.array([0, 0, 0, 9], np.int32), np.array([2, 1, 1, 5]))
    # 1 sees 2 and 3; 2 sees 1 and 3; 3 sees 2; 4 is alone in its paragraph
    assert sorted(pairs.tolist()) == [[1, 2], [1, 3], [2, 1], [2, 3], [3, 2]]
    assert window_pairs(tokens[:0], tokens[:0], np.zeros(0, np.int64)).shape == (0, 2)


def test_kept_words() -> None:
    """word2vec.c: (sqrt(f / t) + 1) t / f."""
    counts = np.array([900, 90, 9, 1])
    share = counts / 1000
    expected = np.minimum((np.sqrt(share / 1e-3) + 1) * 1e-3 / share, 1)
    np.testing.assert_allclose(keep_probability(counts, 1e-3), expected)
    assert keep_probability(counts, 0).tolist() == [1, 1, 1, 1]


def test_a_step_is_that_of_autograd() -> None:
    rng = np.random.default_rng(0)
    vectors, outputs = (torch.from_numpy(rng.standard_normal((6, 3))).float() for _ in range(2))
    pairs = np.array([[0, 1], [0, 2], [3, 1], [4, 5]])
    drawn = np.array([[1, 2, 2], [0, 5, 1], [4, 4, 3], [5, 5, 5]])
    v, u = (table.clone().double().requires_grad_() for table in (vectors, outputs))
    loss = torch.zeros((), dtype=torch.float64)
    for (centre, right), wrong in zip(pairs.tolist(), drawn.tolist(), strict=True):
        loss = loss - torch.log(torch.sigmoid(u[right] @ v[centre]))
        for word in wrong:
            if word != right:  # as in word2vec
                loss = loss - torch.log(torch.sigmoid(-u[word] @ v[centre]))
    loss.backward()
    assert v.grad is not None
    assert u.grad is not None
    expected = [(table - 0.1 * table.grad).detach() for table in (v, u)]
    assert take_step(vectors, outputs, pairs, drawn, 0.1) == pytest.approx(loss.item(), rel=1e-6)
    torch.testing.assert_close(vectors.double(), expected[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(outputs.double(), expected[1], rtol=0, atol=1e-6)


def sentences(folder: Path) -> Path:
    """Two topics of 10 words each; words of a topic occur together."""
    rng = np.random.default_rng(0)
    paragraphs = []
    for number in range(1200):
        topic = "ab"[number % 2]
        paragraphs.append(" ".join(f"{topic}{word}" for word in rng.integers(0, 10, 8)))
    return write(folder, "\n\n".join(paragraphs))


def test_words_of_a_topic_become_neighbours(tmp_path: Path) -> None:
    corpus = read_corpus(sentences(tmp_path))
    settings = SkipGramSettings(dim=10, num_epochs=3, subsampling=0, learning_rate=0.1, seed=1)
    found = train(corpus, settings)
    assert len(found.losses) == 3
    # before training, every pair costs (1 + K) log 2
    assert found.losses[0] <= 6 * np.log(2)
    assert found.losses[2] < 0.95 * found.losses[0]
    for word, near in nearest_words(found.table, found.table.words, 9).items():
        assert {other[0] for other, _ in near} == {word[0]}, word
    again = train(corpus, settings)
    np.testing.assert_array_equal(again.table.vectors, found.table.vectors)
    other = train(corpus, SkipGramSettings(dim=10, num_epochs=1, seed=2))
    assert (other.table.vectors != found.table.vectors).any()


def test_a_training_that_diverges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.embeddings.skipgram.take_step", lambda *_: float("nan"))
    with pytest.raises(InputError, match=r"diverged; use a lower learning rate than 0\.025"):
        train(read_corpus(sentences(tmp_path)))


@pytest.mark.parametrize("name", ["dim", "window", "num_negatives", "num_epochs", "batch_size"])
def test_bad_settings(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} must be at least 1, got 0"):
        SkipGramSettings(**{name: 0})
    with pytest.raises(UsageError, match="learning rate between 0 and 1"):
        SkipGramSettings(learning_rate=0)
