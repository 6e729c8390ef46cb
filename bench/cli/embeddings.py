"""`latentbench embeddings`: measure tables of word vectors, and train one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.options import Json, Quiet
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.embeddings.evaluation import Evaluation
    from bench.embeddings.record import EmbeddingRecord, EmbeddingValue

MAX_SECTIONS = 40  # rows of a picture
PICTURES = {"analogies": "analogies.svg", "translation": "translation.svg"}


def embeddings(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Word vectors: word2vec text or binary, GloVe text, fastText .vec, or npz with "
            "the arrays words and vectors; gzip is read too.",
        ),
    ],
    *,
    analogies: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Questions to answer: lines of four words under lines ": section".',
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    translate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Second table, into which the words of the first are translated."
        ),
    ] = None,
    dictionary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Pairs of words to fit the rotation to: a word and its translation on each line. "
            "Without it, the rotation is found without a dictionary.",
        ),
    ] = None,
    test_dictionary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Pairs of words to test on.",
            show_default="a held-out fifth of --dictionary; without one, words spelled the same",
        ),
    ] = None,
    neighbours: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD,...", help="Print the ten nearest words of these words."),
    ] = None,
    num_words: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Read the first words of each table only; files list frequent words first.",
            show_default="all",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    lowercase: Annotated[
        bool, typer.Option("--lowercase", help="Lower the case of questions and dictionaries.")
    ] = False,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient",
            help="Leave out words of a table that repeat or are not UTF-8, and count them.",
        ),
    ] = False,
    seed: Annotated[
        int,
        options.seed(
            2**32 - 1,
            "Seed of what is held out and of the start without a dictionary.",
            options.PROTOCOL,
        ),
    ] = 0,
    out: Annotated[Path, options.out("Folder for the results.")] = Path("latentbench-embeddings"),
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure tables of word vectors: analogies and translation.

    Examples:
      latentbench embeddings vectors.txt --analogies questions-words.txt
      latentbench embeddings en.vec --translate de.vec --dictionary pairs.txt
      latentbench embeddings en.vec --translate de.vec --test-dictionary pairs.txt
      latentbench embeddings vectors.bin --neighbours king,queen
      latentbench embeddings train corpus.txt --out vectors.txt

    Analogies are answered by 3CosAdd and 3CosMul. A translation rotates the first table onto the
    second and looks for the nearest words by cosine and by CSLS. Every value has a 95 % interval
    (Wilson). Questions with a word outside the table are counted apart.
    """
    from bench.embeddings.evaluation import RECORD, evaluate
    from bench.embeddings.retrieval import nearest_words
    from bench.embeddings.vector_files import read_embeddings
    from bench.runtime.progress import progress_report
    from bench.runtime.terminal import require_writable

    words = options.split(neighbours)
    if dictionary is not None and translate is None:
        raise UsageError("--dictionary needs a second table; give --translate FILE")
    if test_dictionary is not None and translate is None:
        raise UsageError("--test-dictionary needs a second table; give --translate FILE")
    measures = analogies is not None or translate is not None
    if measures:
        require_writable(out)
    if words and not measures:
        found = read_embeddings(table, num_words=num_words, lenient=lenient)
        _print_neighbours(nearest_words(found, words).items())
        return
    if not measures:
        raise UsageError("nothing to do; give --analogies, --translate or --neighbours")
    with progress_report(quiet=quiet) as progress:
        source = read_embeddings(table, num_words=num_words, lenient=lenient)
        result = evaluate(
            source,
            source_file=table,
            analogies=analogies,
            translate_to=translate,
            dictionary=dictionary,
            test_dictionary=test_dictionary,
            lowercase=lowercase,
            num_words=num_words,
            lenient=lenient,
            seed=seed,
            out=out,
            progress=progress,
        )
    drawn = _draw(result.record, out)
    if json_lines:
        sys.stdout.write(result.record.model_dump_json() + "\n")
        return
    _print(result)
    if words:
        _print_neighbours(nearest_words(source, words).items())
    written = ", ".join(str(path) for path in (out / RECORD, *drawn))
    sys.stdout.write(f"written: {written}; single answers as CSV beside them\n")


def train(
    corpus: Annotated[
        Path, typer.Argument(metavar="FILE", help="A text in UTF-8; empty lines end paragraphs.")
    ],
    *,
    dim: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Dimensions of a vector.", rich_help_panel=options.PROTOCOL
        ),
    ] = 100,
    window: Annotated[
        int, typer.Option(min=1, metavar="N", help="Largest distance of two words of a pair.")
    ] = 5,
    num_negatives: Annotated[
        int, typer.Option(min=1, metavar="N", help="Random words beside each right one.")
    ] = 5,
    min_count: Annotated[
        int, typer.Option(min=1, metavar="N", help="Leave out words that are rarer than this.")
    ] = 5,
    num_epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes over the text.")] = 5,
    seed: Annotated[int, options.seed(2**32 - 1, "Random seed.", options.PROTOCOL)] = 0,
    out: Annotated[
        Path, options.out("File for the vectors: .txt, .vec, .bin or .npz.", "FILE")
    ] = Path("vectors.txt"),
    quiet: Quiet = False,
) -> None:
    """Train word vectors on a text.

    Examples:
      latentbench embeddings train corpus.txt --out vectors.txt
      latentbench embeddings train corpus.txt --dim 50 --num-epochs 20 --out vectors.npz

    Skip-gram with negative sampling (Mikolov et al. 2013). Words are runs of letters and digits in
    lower case, most frequent first in the file.
    """
    from bench.embeddings.corpus import read_corpus
    from bench.embeddings.skipgram import SkipGramSettings
    from bench.embeddings.skipgram import train as train_vectors
    from bench.embeddings.vector_files import require_suffix, write_embeddings
    from bench.runtime.progress import progress_report
    from bench.runtime.terminal import require_writable

    require_suffix(out)
    require_writable(out.parent)
    settings = SkipGramSettings(
        dim=dim, window=window, num_negatives=num_negatives, num_epochs=num_epochs, seed=seed
    )
    text = read_corpus(corpus, min_count=min_count)
    with progress_report(quiet=quiet) as progress:
        found = train_vectors(
            text,
            settings,
            name=out.name,
            progress=lambda done, total: progress("words", done, total),
        )
    write_embeddings(found.table, out)
    losses = ", ".join(f"{loss:.4g}" for loss in found.losses)
    sys.stdout.write(
        f"{text.num_tokens:,} words of text, {len(text.words):,} different ones that occur "
        f"{min_count} times or more, {found.num_pairs:,} pairs\n"
        f"loss of a pair by epoch: {losses}\n"
        f"written: {out}\n"
    )


def _print(result: Evaluation) -> None:
    from bench.tables.console import print_rows

    record = result.record
    sys.stdout.write(
        f"{record.table.name}: {record.table.num_words:,} words, {record.table.dim:,} dimensions\n"
    )
    for table in filter(None, (record.table, record.target)):
        for reason, count in table.skipped.items():
            sys.stderr.write(f"latentbench: {table.name}: {count:,} {reason} left out\n")
    analogies = [one for one in record.values if one.group == "analogies"]
    if analogies:
        sys.stdout.write("\nanalogies, share of right answers\n")
        print_rows(
            ["section", "method", "accuracy", "95 % interval", "asked", "unknown", "impossible"],
            [
                [one.section or "", one.method, *_share(one), f"{one.n:,}",
                 f"{one.num_unknown:,}", f"{one.num_impossible:,}"]
                for one in analogies
            ],
        )  # fmt: skip
    if result.translation is not None and record.target is not None:
        found = result.translation
        sys.stdout.write(
            f"\ntranslation into {record.target.name}: {record.target.num_words:,} words; fitted "
            f"to {found.fitted_to}, tested on {found.tested_on}\n"
        )
        print_rows(
            ["retrieval", "among the first", "precision", "95 % interval", "words", "unknown"],
            [
                [one.method, one.name.removeprefix("precision_at_"), *_share(one), f"{one.n:,}",
                 f"{one.num_unknown:,}"]
                for one in record.values
                if one.group == "translation"
            ],
        )  # fmt: skip
    sys.stderr.writelines(f"latentbench: {note}\n" for note in record.notes)


def _share(one: EmbeddingValue) -> list[str]:
    if one.value is None or one.interval is None:
        return ["-", one.reason or ""]
    return [f"{one.value:.3f}", f"{one.interval.low:.3f} to {one.interval.high:.3f}"]


def _print_neighbours(found: Iterable[tuple[str, Sequence[tuple[str, float]]]]) -> None:
    from bench.tables.console import print_rows

    print_rows(
        ["word", "nearest words, by cosine"],
        [
            [word, ", ".join(f"{near} {value:.3f}" for near, value in nearest)]
            for word, nearest in found
        ],
    )


def _draw(record: EmbeddingRecord, out: Path) -> list[Path]:
    """Draw the shares of each group; return the files."""
    from bench.plots import new_figure, plot_shares, save_figure
    from bench.statistics.intervals import Uncertainty

    drawn = []
    for group, file in PICTURES.items():
        values = [one for one in record.values if one.group == group]
        if not values:
            continue
        rows = list(dict.fromkeys(map(_label, values)))[-MAX_SECTIONS:]
        series: dict[str, list[Uncertainty | None]] = {}
        for one in values:
            found = series.setdefault(one.method, [None] * len(rows))
            if _label(one) in rows and one.interval is not None:
                found[rows.index(_label(one))] = Uncertainty(
                    **one.interval.model_dump(exclude={"level"})
                )
        figure = new_figure(7, 1 + 0.3 * len(rows))
        title = "Analogies" if group == "analogies" else "Translation"
        what = "share of right answers" if group == "analogies" else "precision"
        plot_shares(rows, series, ax=figure.subplots(), title=title, x=what)
        save_figure(figure, out / file)
        drawn.append(out / file)
    return drawn


def _label(one: EmbeddingValue) -> str:
    return one.section or f"first {one.name.removeprefix('precision_at_')}"
