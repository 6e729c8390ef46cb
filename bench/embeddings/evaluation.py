"""Measure a table of word vectors: analogies, and the translation into another table."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from bench.embeddings.analogies import METHODS, AnalogyAnswers, AnalogyScore, score_analogies
from bench.embeddings.question_files import Pair, Question, read_analogies, read_dictionary
from bench.embeddings.record import (
    EmbeddingRecord,
    EmbeddingValue,
    ListIdentity,
    TableIdentity,
    interval_entry,
)
from bench.embeddings.retrieval import CRITERIA, CSLS_NEIGHBOURS
from bench.embeddings.table import EmbeddingTable
from bench.embeddings.translation import Translation, translate
from bench.embeddings.vector_files import read_embeddings
from bench.errors import UsageError
from bench.runtime.npz import arrays_to_bytes
from bench.runtime.printable import sanitise
from bench.runtime.progress import Progress
from bench.runtime.provenance import library_versions, version
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import csv_cell

DEFINITIONS = {
    "3cosadd": "share of questions a : b :: c : d whose d is the word w, other than a, b, c, with "
    "the largest cos(w, b - a + c) (Mikolov et al. 2013); vectors of unit length",
    "3cosmul": "share of questions a : b :: c : d whose d is the word w, other than a, b, c, with "
    "the largest s(w, b) s(w, c) / (s(w, a) + 0.001), s = (1 + cos) / 2 (Levy and Goldberg 2014)",
    "cosine": "share of words with a right translation among the first k by the cosine after the "
    "rotation",
    "csls": f"share of words with a right translation among the first k by CSLS with "
    f"{CSLS_NEIGHBOURS} neighbours after the rotation (Conneau et al. 2018)",
}
T = TypeVar("T")
RECORD, ANSWERS, TRANSLATIONS, MAP = "record.json", "analogies.csv", "translations.csv", "map.npz"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The record, with the single answers behind it."""

    record: EmbeddingRecord
    analogies: AnalogyAnswers | None = None
    translation: Translation | None = None


def evaluate(
    table: EmbeddingTable | str | Path,
    *,
    analogies: Sequence[Question] | str | Path | None = None,
    translate_to: EmbeddingTable | str | Path | None = None,
    dictionary: Sequence[Pair] | str | Path | None = None,
    test_dictionary: Sequence[Pair] | str | Path | None = None,
    lowercase: bool = False,
    num_words: int | None = None,
    lenient: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
    source_file: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Answer the analogies and measure the translation of a table; write the results to `out`.

    Tables, questions and dictionaries are files or objects. `lowercase` lowers the questions and
    dictionaries, for tables whose words are in lower case. `num_words` reads the first words of
    each file, and `lenient` leaves out words that repeat or are not UTF-8. The seed matters for the
    part of the dictionary that is held out, and for the adversarial start. `source_file` is the
    file that a table given as an object was read from, for the record.

    Raises the errors of `read_embeddings`, `read_analogies`, `read_dictionary` and `translate`.

    >>> import numpy as np
    >>> vectors = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]], np.float32)
    >>> table = EmbeddingTable(["king", "queen", "man", "woman"], vectors)
    >>> found = evaluate(table, analogies=[Question("royal", "man", "king", "woman", "queen")])
    >>> [(one.method, one.section, one.value) for one in found.record.values][:2]
    [('3cosadd', 'royal', 1.0), ('3cosadd', 'all', 1.0)]
    """
    if translate_to is None and (dictionary is not None or test_dictionary is not None):
        raise UsageError("a dictionary needs a second table; give --translate FILE")
    # small files first: an error in them costs no time
    questions = _listed(analogies, lambda path: read_analogies(path, lowercase=lowercase))
    pairs = _listed(dictionary, lambda path: read_dictionary(path, lowercase=lowercase))
    tests = _listed(test_dictionary, lambda path: read_dictionary(path, lowercase=lowercase))
    source = _table(table, num_words, lenient=lenient)
    target = None if translate_to is None else _table(translate_to, num_words, lenient=lenient)
    values: list[EmbeddingValue] = []
    answered = translated = None
    if questions is not None:

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress("words", done, total)

        answered = score_analogies(source, questions, methods=METHODS, progress=report)
        values += map(_analogy_value, answered.scores)
    if target is not None:
        translated = translate(
            source,
            target,
            dictionary=pairs,
            test_dictionary=tests,
            seed=seed,
            progress=progress,
        )
        values += _translation_values(translated, seed)
    record = EmbeddingRecord(
        version=version(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        table=_identity(source_file or table, source),
        target=None if target is None or translate_to is None else _identity(translate_to, target),
        analogies=_list_identity(analogies, questions),
        dictionary=_list_identity(dictionary, pairs),
        test_dictionary=_list_identity(test_dictionary, tests),
        lowercase=lowercase,
        values=values,
        notes=translated.notes if translated else [],
        libraries=library_versions(),
    )
    found = Evaluation(record=record, analogies=answered, translation=translated)
    if out is not None:
        write_results(found, out)
    return found


def write_results(found: Evaluation, out: str | Path) -> None:
    """Write the record, every answer and every translation as CSV, and the map as npz."""
    folder = Path(out)
    if found.analogies is not None:
        write_atomically(folder / ANSWERS, _answers_csv(found.analogies))
    if found.translation is not None:
        write_atomically(folder / TRANSLATIONS, _translations_csv(found.translation))
        map_DD = found.translation.alignment.rotation
        write_atomically(folder / MAP, arrays_to_bytes({"map": map_DD}))
    write_atomically(folder / RECORD, (found.record.model_dump_json(indent=1) + "\n").encode())


def _table(
    given: EmbeddingTable | str | Path, num_words: int | None, *, lenient: bool
) -> EmbeddingTable:
    if isinstance(given, EmbeddingTable):
        return given
    return read_embeddings(given, num_words=num_words, lenient=lenient)


def _listed(
    given: Sequence[T] | str | Path | None, read: Callable[[str | Path], list[T]]
) -> Sequence[T] | None:
    return read(given) if isinstance(given, str | Path) else given


def _identity(given: EmbeddingTable | str | Path, table: EmbeddingTable) -> TableIdentity:
    return TableIdentity(
        name=table.name,
        sha256=_sha256(given),
        num_words=len(table),
        dim=table.dim,
        skipped=table.skipped,
    )


def _list_identity(given: object, lines: Sequence[object] | None) -> ListIdentity | None:
    if lines is None:
        return None
    name = sanitise(Path(given).name) if isinstance(given, str | Path) else "given in Python"
    return ListIdentity(name=name, sha256=_sha256(given), num_lines=len(lines))


def _sha256(given: object) -> str | None:
    if not isinstance(given, str | Path):
        return None
    with Path(given).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _analogy_value(score: AnalogyScore) -> EmbeddingValue:
    accuracy = score.accuracy
    return EmbeddingValue(
        group="analogies",
        name="accuracy",
        method=score.method,
        section=score.section,
        value=None if accuracy is None else accuracy.estimate,
        reason="none of the questions can be asked" if accuracy is None else None,
        interval=None if accuracy is None else interval_entry(accuracy),
        n=score.num_asked,
        num_unknown=score.num_unknown,
        num_impossible=score.num_impossible,
        definition=DEFINITIONS[score.method],
    )


def _translation_values(found: Translation, seed: int) -> list[EmbeddingValue]:
    how = f"; fitted to {found.fitted_to}, tested on {found.tested_on}"
    values = []
    for one in found.precisions:
        share = one.share
        values.append(
            EmbeddingValue(
                group="translation",
                name=f"precision_at_{one.rank}",
                method=one.criterion,
                value=None if share is None else share.estimate,
                reason="no word to test on" if share is None else None,
                interval=None if share is None else interval_entry(share),
                n=one.num_queries,
                num_unknown=found.num_unknown,
                seed=seed,
                definition=DEFINITIONS[one.criterion].replace("first k", f"first {one.rank}") + how,
            )
        )
    return values


def _csv(columns: list[str], rows: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue().encode()


def _answers_csv(found: AnalogyAnswers) -> bytes:
    answers = list(found.answers.values())
    rows = [
        [*question, *(answer[number] or "" for answer in answers)]
        for number, question in enumerate(found.questions)
    ]
    return _csv(["section", "a", "b", "c", "expected", *found.answers], rows)


def _translations_csv(found: Translation) -> bytes:
    rows = [
        [word, " ".join(right), *(found.found[criterion][number] for criterion in CRITERIA)]
        for number, (word, right) in enumerate(zip(found.queries, found.right, strict=True))
    ]
    return _csv(["word", "expected", *CRITERIA], rows)
