"""Time and memory of 10,000 analogies in a table of 1 million words of 300 dimensions.

    python -m tests.throughput.embeddings_scale --out reports/embeddings

The vectors are generated: normal, and of each pair of a relation, b = a + r with little noise, so
that the right answers are known. Two files of questions are answered: `sections` combines the pairs
of 14 relations, as the questions of word2vec do, and `all different` has four new words in every
question, which is the most that 10,000 questions can ask for. Each runs in a process of its own,
from the word2vec binary file to the answers; its peak is that of the whole process. `--words` makes
it smaller, and `--render` rebuilds the report.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.runtime.whole_files import write_atomically

NUM_WORDS, DIM, NUM_QUESTIONS = 1_000_000, 300, 10_000
NUM_RELATIONS = 14
KINDS = ("sections", "all different")


def pairs_of(kind: str, num_words: int) -> list[list[tuple[int, int]]]:
    """Rows of the pairs (a, b) of each relation, spread over the table."""
    # 14 relations of 28 pairs make 14 * 28 * 27 = 10,584 questions
    num_pairs = [28] * NUM_RELATIONS if kind == "sections" else [2 * NUM_QUESTIONS]
    rows = np.random.default_rng(1).permutation(num_words)[: 2 * sum(num_pairs)].tolist()
    pairs = iter(zip(rows[::2], rows[1::2], strict=True))
    return [list(itertools.islice(pairs, number)) for number in num_pairs]


def questions_of(kind: str, num_words: int) -> Iterator[str]:
    """The lines of a file of questions."""
    left = NUM_QUESTIONS
    for section, pairs in enumerate(pairs_of(kind, num_words)):
        yield f": relation {section}"
        if kind == "sections":
            asked = list(itertools.permutations(pairs, 2))
        else:
            asked = list(zip(pairs[::2], pairs[1::2], strict=True))
        for (a, b), (c, d) in asked[:left]:
            yield f"w{a} w{b} w{c} w{d}"
        left -= min(left, len(asked))


def write_table(path: Path, kind: str, num_words: int, dim: int) -> None:
    """Write a word2vec binary file in pieces."""
    rng = np.random.default_rng(0)
    with tempfile.NamedTemporaryFile(dir=path.parent) as scratch:
        table = np.memmap(scratch, np.float32, "w+", shape=(num_words, dim))
        for start in range(0, num_words, 50_000):
            stop = min(start + 50_000, num_words)
            table[start:stop] = rng.standard_normal((stop - start, dim), np.float32)
        for pairs in pairs_of(kind, num_words):
            relation = rng.standard_normal(dim).astype(np.float32)
            for a, b in pairs:
                noise = rng.standard_normal(dim).astype(np.float32)
                table[b] = table[a] + relation + 0.3 * noise
        with path.open("wb") as stream:
            stream.write(f"{num_words} {dim}\n".encode())
            for row in range(num_words):
                stream.write(f"w{row} ".encode() + table[row].tobytes() + b"\n")


def measure_here(vectors: Path, questions: Path) -> dict[str, object]:
    """Read and answer in this process."""
    from bench.embeddings import read_analogies, read_embeddings, score_analogies

    start, start_cpu = time.perf_counter(), time.process_time()
    table = read_embeddings(vectors)
    read, read_cpu = time.perf_counter(), time.process_time()
    asked = read_analogies(questions)
    found = score_analogies(table, asked)
    end, end_cpu = time.perf_counter(), time.process_time()
    right = {one.method: one.num_right for one in found.scores if one.section == "all"}
    return {
        "num_words": len(table),
        "dim": table.dim,
        "num_questions": len(asked),
        "num_different_words": len({word for one in asked for word in one[1:4]}),
        "num_right": right,
        "read_s": round(read - start, 2),
        "answers_s": round(end - read, 2),
        "read_cpu_s": round(read_cpu - start_cpu, 2),
        "answers_cpu_s": round(end_cpu - read_cpu, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": platform.machine(),
        "num_cores": len(os.sched_getaffinity(0)),
        "numpy": np.__version__,
    }


def run_study(out: Path, kinds: Sequence[str], num_words: int, dim: int) -> None:
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            vectors, questions = Path(folder, "vectors.bin"), Path(folder, "questions.txt")
            write_table(vectors, kind, num_words, dim)
            questions.write_text("\n".join(questions_of(kind, num_words)) + "\n")
            module = "tests.throughput.embeddings_scale"
            command = [sys.executable, "-m", module, "--one", str(vectors), str(questions)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            lines.append(json.dumps({"questions": kind} | json.loads(done.stdout)))
            print(lines[-1])
    write_atomically(out / "scale.jsonl", ("\n".join(lines) + "\n").encode())


def render(out: Path) -> None:
    points = [json.loads(line) for line in (out / "scale.jsonl").read_text().splitlines()]
    first = points[0]
    lines = [
        "# Analogies in a large table",
        "",
        "Made by `python -m tests.throughput.embeddings_scale --out reports/embeddings` on "
        f"{first['machine']} with {first['num_cores']} cores, NumPy {first['numpy']}; one run "
        f"each. {first['num_words']:,} generated words of {first['dim']} dimensions; the time to "
        "answer is that of 3CosAdd and 3CosMul together, and the peak is that of the process. "
        "Where the time on the clock exceeds half of the CPU time, other programs ran as well.",
        "",
        "| questions | of them different words | right, 3CosAdd and 3CosMul | read, s | "
        "answer, s | the same, CPU s | peak, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one['num_questions']:,}, {one['questions']} | {one['num_different_words']:,} "
        f"| {one['num_right']['3cosadd']:,}, {one['num_right']['3cosmul']:,} | {one['read_s']:.1f} "
        f"| {one['answers_s']:.1f} | {one.get('answers_cpu_s', '-')} | {one['peak_mb']:,} |"
        for one in points
    ]
    write_atomically(out / "scale.md", ("\n".join(lines) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("embeddings-scale"))
    parser.add_argument("--words", type=int, default=NUM_WORDS)
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--one", nargs=2, type=Path, metavar=("VECTORS", "QUESTIONS"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_here(*options.one)))
        return
    if not options.render:
        run_study(options.out, options.kinds, options.words, options.dim)
    render(options.out)


if __name__ == "__main__":
    main()
