"""Skip-gram with negative sampling (Mikolov et al. 2013), trained by stochastic gradient descent.

For a word c with vector v and a word o near it with output vector u, and K words n drawn from the
counts to the power 0.75,

    loss = -log s(u_o . v_c) - sum_n log s(-u_n . v_c),  s the logistic function.

As in word2vec: the window of each word is drawn between 1 and its largest size; a word of relative
frequency f is kept with probability sqrt(t / f) + t / f, t = 1e-3; a drawn word that is the right
one is left out; the learning rate falls linearly. The gradients of a batch of pairs are added up
and applied together, where word2vec applies one after the other. A batch has at most as many pairs
as there are words: the sum of many gradients of one word would be too long a step.

Shape legend: V words, D dimensions, B pairs of a batch, K negative words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bench.embeddings.corpus import Corpus
from bench.embeddings.table import EmbeddingTable
from bench.errors import InputError, UsageError
from bench.runtime.progress import CountProgress

NOISE_POWER = 0.75
CHUNK_TOKENS = 50_000  # of the text whose pairs are mixed


@dataclass(frozen=True, kw_only=True)
class SkipGramSettings:
    """Settings of a training; the defaults are those of word2vec, with smaller vectors."""

    dim: int = 100
    window: int = 5  # largest distance of two words of a pair
    num_negatives: int = 5
    num_epochs: int = 5
    subsampling: float = 1e-3  # t; 0 keeps all words
    learning_rate: float = 0.025
    last_learning_rate: float = 1e-4
    batch_size: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("dim", "window", "num_negatives", "num_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.subsampling < 0 or not 0 < self.learning_rate < 1:
            raise UsageError("subsampling must be 0 or more, the learning rate between 0 and 1")


class Trained(NamedTuple):
    """The vectors, and the mean loss of a pair in each epoch."""

    table: EmbeddingTable
    losses: list[float]
    num_pairs: int


def train(
    corpus: Corpus,
    settings: SkipGramSettings | None = None,
    *,
    name: str = "trained",
    progress: CountProgress | None = None,
) -> Trained:
    """Return vectors of the words of a text.

    The same seed gives the same vectors with the same number of threads. Raises `InputError` if the
    training diverges.
    """
    settings = settings or SkipGramSettings()
    rng = np.random.default_rng(settings.seed)
    num_words = len(corpus.words)
    start_VD = (rng.random((num_words, settings.dim), np.float32) - 0.5) / settings.dim
    vectors = torch.from_numpy(start_VD)
    outputs = torch.zeros(num_words, settings.dim)
    noise_V = np.cumsum(corpus.counts.astype(np.float64) ** NOISE_POWER)
    noise_V /= noise_V[-1]
    keep_V = keep_probability(corpus.counts, settings.subsampling)
    batch_size = min(settings.batch_size, num_words)
    losses = []
    total = settings.num_epochs * len(corpus.tokens)
    num_pairs = done = 0
    for _ in range(settings.num_epochs):
        loss, num = 0.0, 0
        for chunk, seen in _chunks(corpus, keep_V, settings.window, rng):
            for at in range(0, len(chunk), batch_size):
                pairs_B2 = chunk[at : at + batch_size]
                share = (done + seen * at / len(chunk)) / total
                rate = max(settings.learning_rate * (1 - share), settings.last_learning_rate)
                shape = (len(pairs_B2), settings.num_negatives)
                drawn_BK = np.searchsorted(noise_V, rng.random(shape), side="right")
                loss += take_step(vectors, outputs, pairs_B2, drawn_BK, rate)
            num += len(chunk)
            done += seen
            if progress is not None:
                progress(done, total)
        if not np.isfinite(loss):
            raise InputError(
                f"{name}: the training diverged; use a lower learning rate than "
                f"{settings.learning_rate:g}"
            )
        losses.append(loss / max(num, 1))
        num_pairs += num
    table = EmbeddingTable(corpus.words, vectors.numpy(), name=name)
    return Trained(table, losses, num_pairs)


def keep_probability(counts_V: NDArray[np.int64], subsampling: float) -> NDArray[np.float64]:
    """Return the probability with which each word of the text is kept, float64 V.

    >>> keep_probability(np.array([9990, 10]), 1e-3).round(4)
    array([0.0326, 1.    ])
    """
    if subsampling == 0:
        return np.ones(len(counts_V))
    ratio_V = subsampling * counts_V.sum() / counts_V
    kept_V: NDArray[np.float64] = np.minimum(np.sqrt(ratio_V) + ratio_V, 1.0)
    return kept_V


def _chunks(
    corpus: Corpus, keep_V: NDArray[np.float64], window: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Yield the pairs of each piece of the text in random order, and the number of its words."""
    for start in range(0, len(corpus.tokens), CHUNK_TOKENS):
        tokens = corpus.tokens[start : start + CHUNK_TOKENS]
        kept = rng.random(len(tokens)) < keep_V[tokens]
        paragraphs = corpus.paragraphs[start : start + CHUNK_TOKENS][kept]
        reach = rng.integers(1, window + 1, int(kept.sum()))
        pairs = window_pairs(tokens[kept], paragraphs, reach)
        yield rng.permutation(pairs), len(tokens)


def window_pairs(
    tokens_N: NDArray[np.int32], paragraphs_N: NDArray[np.int32], reach_N: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the pairs (word, word near it) int64 P,2, each word with those up to its reach away in
    its paragraph.

    >>> window_pairs(np.array([7, 8, 9]), np.array([0, 0, 1]), np.array([1, 2, 2])).tolist()
    [[7, 8], [8, 7]]
    """
    found = [np.zeros((0, 2), np.int64)]
    for distance in range(1, min(int(reach_N.max(initial=0)), len(tokens_N) - 1) + 1):
        near = paragraphs_N[:-distance] == paragraphs_N[distance:]
        first, second = tokens_N[:-distance], tokens_N[distance:]
        forth = near & (reach_N[:-distance] >= distance)
        back = near & (reach_N[distance:] >= distance)
        found.append(np.column_stack([first[forth], second[forth]]).astype(np.int64))
        found.append(np.column_stack([second[back], first[back]]).astype(np.int64))
    return np.concatenate(found)


def take_step(
    vectors: torch.Tensor,
    outputs: torch.Tensor,
    pairs_B2: NDArray[np.int64],
    drawn_BK: NDArray[np.int64],
    rate: float,
) -> float:
    """Change both tables by one step of gradient descent; return the summed loss before it."""
    centre_B = torch.from_numpy(np.ascontiguousarray(pairs_B2[:, 0]))
    targets_BJ = torch.from_numpy(np.column_stack([pairs_B2[:, 1], drawn_BK]))  # J = 1 + K
    label_BJ = torch.zeros(targets_BJ.shape)
    label_BJ[:, 0] = 1
    counted_BJ = (targets_BJ != targets_BJ[:, :1]) | (label_BJ > 0)
    v_BD, u_BJD = vectors[centre_B], outputs[targets_BJ]
    logit_BJ = torch.einsum("bd,bjd->bj", v_BD, u_BJD)
    sign_BJ = 2 * label_BJ - 1
    loss = torch.nn.functional.softplus(-sign_BJ * logit_BJ)[counted_BJ].sum()
    step_BJ = rate * (label_BJ - torch.sigmoid(logit_BJ)) * counted_BJ
    vectors.index_add_(0, centre_B, torch.einsum("bj,bjd->bd", step_BJ, u_BJD))
    change_BJD = step_BJ[:, :, None] * v_BD[:, None, :]
    outputs.index_add_(0, targets_BJ.flatten(), change_BJD.flatten(0, 1))
    return float(loss)
