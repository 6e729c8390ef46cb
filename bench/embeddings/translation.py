"""Translate the words of one table into another, and how often the first answers are right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.embeddings.alignment import Alignment, fit_criterion, mapped, orthogonal_map
from bench.embeddings.question_files import Pair
from bench.embeddings.retrieval import (
    CRITERIA,
    RANKS,
    Criterion,
    Precision,
    mean_cosine,
    nearest_rows,
    precision_at,
)
from bench.embeddings.table import EmbeddingTable
from bench.errors import InputError, UsageError
from bench.runtime.progress import Progress

TEST_SHARE = 0.2  # of the source words of a dictionary, where there is no other to test on
MAX_QUERIES = 10_000  # most frequent words that are spelled the same in both tables
FREQUENT = 2_000  # words of the criterion

SAME_SPELLING = "words spelled the same in both tables"


@dataclass(frozen=True, kw_only=True)
class Translation:
    """The map, what it was fitted to and tested on, and the precision by criterion and rank.

    `num_unknown` counts source words of the test pairs that are outside the source table or none of
    whose translations is in the target table.
    """

    alignment: Alignment
    fitted_to: str
    tested_on: str
    precisions: list[Precision]
    num_unknown: int
    queries: list[str]
    right: list[list[str]]
    found: dict[Criterion, list[str]]
    notes: list[str] = field(default_factory=list)


def translate(
    source: EmbeddingTable,
    target: EmbeddingTable,
    *,
    dictionary: Sequence[Pair] | None = None,
    test_dictionary: Sequence[Pair] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Translation:
    """Fit a rotation of `source` onto `target` and measure it.

    With a dictionary it is orthogonal Procrustes; of that dictionary, a fifth of the source words
    is held out for the test unless there is a `test_dictionary`. Without a dictionary the start is
    adversarial and is refined, and the test is on `test_dictionary`, or else on the most frequent
    words that are spelled the same in both tables. Raises `InputError` for tables of different
    dimensions, and `UsageError` if no pair is left to fit or to test.
    """
    if source.dim != target.dim:
        raise InputError(
            f"{source.name} has {source.dim:,} dimensions and {target.name} {target.dim:,}; a "
            "rotation needs the same number"
        )
    notes: list[str] = []
    fit_pairs, test_pairs, tested_on = _pairs(source, target, dictionary, test_dictionary, seed)
    # before the fit, which may take long
    answers = _right_answers(test_pairs, source, target)
    if not answers:
        raise UsageError(
            f"nothing to test on: no pair of {tested_on} has both words in the tables; give "
            "--test-dictionary"
        )
    source_SD, target_TD = source.unit(slice(None)), target.unit(slice(None))
    if fit_pairs is None:
        from bench.embeddings.adversarial import align_without_dictionary

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress("steps of the map", done, total)

        alignment = align_without_dictionary(source_SD, target_TD, seed=seed, progress=report)
        fitted_to = "an adversarial start with refinement"
    else:
        rows = _known(fit_pairs, source, target)
        if not rows:
            raise UsageError("no pair of the dictionary has both words in the tables")
        source_N, target_N = np.array(rows, np.intp).T
        map_DD = orthogonal_map(source_SD[source_N], target_TD[target_N])
        if len(rows) < source.dim:
            notes.append(
                f"the dictionary has {len(rows):,} known pairs for {source.dim:,} dimensions: the "
                "rotation is not determined outside their span; give more pairs"
            )
        criterion = fit_criterion(source_SD[:FREQUENT], target_TD[:FREQUENT], map_DD)
        alignment = Alignment(map_DD, criterion, len(rows))
        fitted_to = f"{len(rows):,} pairs of the dictionary"
    queries_N = np.array(list(answers), np.intp)
    found = _retrieved(mapped(source_SD, alignment.rotation), target_TD, queries_N)
    right = list(answers.values())
    return Translation(
        alignment=alignment,
        fitted_to=fitted_to,
        tested_on=tested_on,
        precisions=[
            one
            for criterion in CRITERIA
            for one in precision_at(found[criterion], right, criterion)
        ],
        num_unknown=len({pair.source for pair in test_pairs}) - len(answers),
        queries=[source.words[row] for row in answers],
        right=[[target.words[row] for row in sorted(rows)] for rows in right],
        found={
            criterion: [target.words[row] for row in found[criterion][:, 0].tolist()]
            for criterion in CRITERIA
        },
        notes=notes,
    )


def _pairs(
    source: EmbeddingTable,
    target: EmbeddingTable,
    dictionary: Sequence[Pair] | None,
    test_dictionary: Sequence[Pair] | None,
    seed: int,
) -> tuple[Sequence[Pair] | None, Sequence[Pair], str]:
    """Return the pairs to fit, None without a dictionary, those to test on, and their name."""
    if test_dictionary is not None:
        return dictionary, test_dictionary, "the test dictionary"
    if dictionary is not None:
        words = list(dict.fromkeys(pair.source for pair in dictionary))
        if len(words) < 2:
            raise UsageError(
                "a dictionary of one word leaves none to test on; give --test-dictionary"
            )
        num_test = max(round(TEST_SHARE * len(words)), 1)
        order = np.random.default_rng(seed).permutation(len(words))
        held_out = {words[position] for position in order[:num_test].tolist()}
        fit = [pair for pair in dictionary if pair.source not in held_out]
        test = [pair for pair in dictionary if pair.source in held_out]
        return fit, test, f"a held-out fifth of the dictionary (seed {seed})"
    same = [Pair(word, word) for word in source.words if word in target][:MAX_QUERIES]
    return None, same, SAME_SPELLING


def _known(
    pairs: Iterable[Pair], source: EmbeddingTable, target: EmbeddingTable
) -> list[tuple[int, int]]:
    """Return the rows of the pairs whose words are both in their tables."""
    rows = [(source.find(pair.source), target.find(pair.target)) for pair in pairs]
    return [(one, other) for one, other in rows if one is not None and other is not None]


def _right_answers(
    pairs: Iterable[Pair], source: EmbeddingTable, target: EmbeddingTable
) -> dict[int, set[int]]:
    """Return the rows of all right translations by the row of the source word."""
    answers: dict[int, set[int]] = {}
    for one, other in _known(pairs, source, target):
        answers.setdefault(one, set()).add(other)
    return answers


def _retrieved(
    moved_SD: NDArray[np.float32], target_TD: NDArray[np.float32], queries_N: NDArray[np.intp]
) -> dict[Criterion, NDArray[np.intp]]:
    """Return the best target rows of each query by criterion, int N,K."""
    queries_ND, k = moved_SD[queries_N], max(RANKS)
    penalty_T = mean_cosine(target_TD, moved_SD)
    return {
        "cosine": nearest_rows(queries_ND, target_TD, k).rows,
        "csls": nearest_rows(queries_ND, target_TD, k, penalty_V=penalty_T).rows,
    }
