"""The record, the files of answers, and the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bench import embeddings
from bench.__main__ import run
from bench.embeddings.question_files import Pair
from bench.embeddings.record import EmbeddingRecord
from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, UsageError
from tests.embeddings.test_analogies import hand_made


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Vectors with exact analogies, the same turned under other names, questions, a dictionary."""
    monkeypatch.chdir(tmp_path)
    table = hand_made()
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    turned = (table.vectors @ turn).astype(np.float32)
    embeddings.write_embeddings(table, "vectors.txt")
    other = embeddings.EmbeddingTable([f"x{word}" for word in table.words], turned)
    embeddings.write_embeddings(other, "other.bin")
    Path("q.txt").write_text(": pairs\nM0 F0 M1 F1\nM0 F0 M2 F2\n: odd\nM0 F0 M1 =2+5\n")
    Path("d.txt").write_text("".join(f"{word} x{word}\n" for word in table.words[:12]))
    return tmp_path


def test_the_command_writes_record_answers_and_pictures(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "vectors.txt --analogies q.txt --lowercase --translate other.bin "
        "--dictionary d.txt --neighbours m0 --out out -q"
    )
    assert run(["embeddings", *words.split()]) == EXIT_OK
    printed = capsys.readouterr()
    assert "vectors.txt: 13 words, 8 dimensions" in printed.out
    record = EmbeddingRecord.model_validate_json(Path("out/record.json").read_text())
    assert record.table.sha256 is not None
    assert record.target is not None
    assert (record.target.name, record.target.num_words) == ("other.bin", 13)
    analogies = {(v.method, v.section): v for v in record.values if v.group == "analogies"}
    assert len(analogies) == 6
    value = analogies["3cosmul", "all"]
    assert (value.value, value.n, value.num_unknown, value.seed) == (1.0, 2, 1, None)
    assert value.interval is not None
    assert round(value.interval.low, 4) == 0.3424  # Wilson: n / (n + z^2)
    odd = analogies["3cosadd", "odd"]
    assert (odd.value, odd.n, odd.reason) == (None, 0, "none of the questions can be asked")
    precision = [v for v in record.values if v.group == "translation"]
    assert [v.name for v in precision] == [
        f"precision_at_{rank}" for _ in range(2) for rank in (1, 5, 10)
    ]
    assert all(v.n == 2 and v.seed == 0 and v.definition for v in precision)
    with Path("out/analogies.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["3cosadd"] for row in rows] == ["f1", "f2", ""]
    assert rows[2]["expected"] == "'=2+5"  # no formula in a spreadsheet
    with Path("out/translations.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 2
    with np.load("out/map.npz") as archive:
        np.testing.assert_allclose(archive["map"] @ archive["map"].T, np.eye(8), atol=1e-12)
    assert {path.name for path in Path("out").iterdir()} == {
        "record.json", "analogies.csv", "translations.csv", "map.npz", "analogies.svg",
        "translation.svg",
    }  # fmt: skip


def test_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["embeddings", "vectors.txt", "--analogies", "q.txt", "--json", "-q"]) == EXIT_OK
    record = json.loads(capsys.readouterr().out)
    assert record["kind"] == "embeddings"
    assert record["values"][-1]["num_unknown"] == 3  # upper case
    assert Path("latentbench-embeddings/record.json").is_file()


def test_neighbours_alone_write_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["embeddings", "vectors.txt", "--neighbours", "m0,f1"]) == EXIT_OK
    assert "f0 0.500, m1 0.500" in capsys.readouterr().out
    assert not Path("latentbench-embeddings").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("vectors.txt", EXIT_USAGE, "nothing to do; give --analogies"),
        ("missing.txt --analogies q.txt", EXIT_USAGE, "missing.txt: No such file"),
        ("vectors.txt --dictionary d.txt", EXIT_USAGE, "needs a second table"),
        ("vectors.txt --test-dictionary d.txt", EXIT_USAGE, "needs a second table"),
        ("q.txt --analogies q.txt", EXIT_INVALID, "q.txt, line 1: expected a word and its"),
        ("vectors.txt --analogies d.txt", EXIT_INVALID, "d.txt, line 1: expected four words"),
        ("vectors.txt --neighbours m00", EXIT_USAGE, "unknown word of vectors.txt 'm00'"),
        ("train d.txt --out v.csv", EXIT_USAGE, "end the name in .txt"),
        ("train missing.txt", EXIT_USAGE, "missing.txt: No such file"),
        ("train d.txt", 5, "0 words occur 5 times or more"),
    ],
)
def test_errors(
    words: str, code: int, message: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["embeddings", *words.split()]) == code
    assert message in capsys.readouterr().err


def test_train_and_use(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.txt").write_text("one two three four five six " * 30)
    command = "train text.txt --dim 4 --num-epochs 1 --out new.vec -q"
    assert run(["embeddings", *command.split()]) == EXIT_OK
    assert "180 words of text, 6 different ones" in capsys.readouterr().out
    assert embeddings.read_embeddings("new.vec").vectors.shape == (6, 4)


def test_a_dictionary_in_python_needs_a_second_table() -> None:
    with pytest.raises(UsageError, match="needs a second table"):
        embeddings.evaluate(hand_made(), dictionary=[Pair("a", "b")])


def test_public_names_resolve() -> None:
    assert all(getattr(embeddings, name) is not None for name in embeddings.__all__)
    assert set(embeddings.__all__) <= set(dir(embeddings))
