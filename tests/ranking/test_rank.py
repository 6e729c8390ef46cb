"""A class from folder to board: places, failures, rules, resuming, names, pages and tables."""

from __future__ import annotations

import csv
import datetime
import io
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, UnknownNameError, UsageError
from bench.ranking import scoring
from bench.ranking.board import write_board
from bench.ranking.names import pseudonym
from bench.ranking.rank import LATE, Ranking, rank
from bench.ranking.store import Decision, Store
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs

HOSTILE = "<img src=x onerror=alert(1)>"
SETTINGS = {"reference": "mnist", "metrics": ["fid"]}


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory: pytest.TempPathFactory, mnist: RealSample) -> Path:
    """Six teams: two good and much alike, one bad, two with the same images, one broken zip."""
    folder = tmp_path_factory.mktemp("class")
    random = np.random.default_rng(0)
    order = random.permutation(len(mnist.images))

    def noisy(start: int, sd: float) -> np.ndarray:
        images = mnist.images[order[start : start + 150]].astype(float)
        return np.clip(images + random.normal(0, sd, images.shape), 0, 255).astype(np.uint8)

    good = noisy(0, 30)
    write_pngs(good, folder / "ada" / "samples")
    write_pngs(np.concatenate([good[:148], noisy(450, 30)[:2]]), folder / HOSTILE)
    write_pngs(noisy(150, 90), folder / "cleo" / "out")
    write_pngs(noisy(300, 60), folder / "dan")
    shutil.make_archive(str(folder / "eve"), "zip", folder / "dan")
    (folder / "fay.zip").write_bytes(b"PK\x03\x04 cut short")
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("private")


@pytest.fixture(scope="module")
def ranking(class_folder: Path, work: Path) -> Ranking:
    return rank([class_folder], SETTINGS, work=work, executor="inline")


def places(ranking: Ranking) -> dict[str, int | str | None]:
    return {row.entry.team: row.place or row.reason for row in ranking.rows}


def test_places_and_reasons(ranking: Ranking) -> None:
    found = places(ranking)
    assert (found["ada"], found[HOSTILE], found["cleo"]) == (1, 1, 3)
    assert found["dan"] == "the same images as eve"
    assert found["eve"] == "the same images as dan"
    assert "the zip" in str(found["fay"])
    assert "/" not in str(found["fay"])  # no path of the staff's machine
    assert [row.place for row in ranking.rows] == [1, 1, 3, None, None, None]
    assert ranking.matrix is not None
    assert ranking.matrix.p_values[0, 1] > 0.05 > ranking.matrix.p_values[0, 2]


def test_a_record_is_that_of_the_command_score(ranking: Ranking, class_folder: Path) -> None:
    alone = Scorer(reference="mnist", metrics="fid").score(class_folder / "ada" / "samples")
    record = next(row.record for row in ranking.rows if row.entry.team == "ada")
    assert record is not None
    assert record.values == alone.values
    assert record.submission.name == record.submission.source == "ada"


def test_the_same_call_scores_nothing_again(
    ranking: Ranking, class_folder: Path, work: Path, tmp_path: Path
) -> None:
    kinds: dict[str, str] = {}
    again = rank(
        [class_folder],
        SETTINGS,
        work=work,
        executor="inline",
        on_event=lambda event: kinds.update({event.label: event.kind}),
    )
    assert set(kinds.values()) == {"cached"}
    assert places(again) == places(ranking)
    assert len(Store(work / "ranking.sqlite3").history()) == 6  # no outcome twice


def test_a_replaced_submission_is_scored_alone(class_folder: Path, tmp_path: Path) -> None:
    """Its older state stays in the history of the team."""
    copy = tmp_path / "class"
    for team in ("ada", "cleo"):
        shutil.copytree(class_folder / team, copy / team)
    work = tmp_path / "work"
    rank([copy], SETTINGS, work=work, executor="inline")
    next((copy / "cleo" / "out").iterdir()).unlink()
    kinds: dict[str, str] = {}
    rank(
        [copy],
        SETTINGS,
        work=work,
        executor="inline",
        on_event=lambda event: kinds.update({event.label: event.kind}),
    )
    assert kinds == {"ada": "cached", "cleo": "done"}
    history = Store(work / "ranking.sqlite3").history("cleo")
    assert [entry.record.submission.num_images for entry in history if entry.record] == [150, 149]


def test_rules_can_be_switched_off(ranking: Ranking, class_folder: Path, work: Path) -> None:
    found = places(
        rank([class_folder], SETTINGS, work=work, without_rules=["twins"], executor="inline")
    )
    assert found["dan"] == found["eve"] == 3
    assert found["cleo"] == 5
    with pytest.raises(UnknownNameError, match="unknown rule 'luck'"):
        rank([class_folder], SETTINGS, work=work, without_rules=["luck"], executor="inline")


def test_the_spec_can_be_switched_off(class_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "class"
    shutil.copytree(class_folder / "ada", folder / "ada")
    strict = {**SETTINGS, "spec": "mnist-10k"}
    found = rank([folder], strict, work=tmp_path / "work", executor="inline")
    assert "expected 10,000" in str(places(found)["ada"])
    found = rank(
        [folder], strict, work=tmp_path / "work", without_rules=["spec"], executor="inline"
    )
    assert places(found) == {"ada": 1}


def test_a_crash_and_a_hang_harm_no_other_team(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "WORK", "tests.ranking.works:crash_hang_or_answer")
    for name in ("ada", "crashes", "hangs", "zoe"):
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / "0.png").touch()
    work = tmp_path / "work"
    ranking = rank([tmp_path / "class"], {}, work=work, executor="local:2", timeout_s=3)
    found = places(ranking)
    assert (found["ada"], found["zoe"]) == ("ada is empty", "zoe is empty")
    assert "the scoring failed: " in str(found["crashes"])
    assert "the scoring failed: " in str(found["hangs"])
    assert "3" in str(found["hangs"])  # the limit in seconds


def test_staff_decide(ranking: Ranking, class_folder: Path, work: Path, tmp_path: Path) -> None:
    own = tmp_path / "work"
    shutil.copytree(work, own)
    numbers = {row.entry.team: row.entry.id for row in ranking.rows}
    store = Store(own / "ranking.sqlite3")
    store.decide(numbers["ada"], Decision("disqualified", "made by another team"))
    store.decide(numbers["dan"], Decision("admitted", "handed in first"))
    store.close()
    found = places(rank([class_folder], SETTINGS, work=own, executor="inline"))
    assert found["ada"] == "made by another team"
    assert (found[HOSTILE], found["dan"]) == (1, 2)
    assert found["eve"] == "the same images as dan"


def test_after_the_deadline(ranking: Ranking, class_folder: Path, work: Path) -> None:
    found = places(
        rank([class_folder], SETTINGS, work=work, deadline="2020-01-01", executor="inline")
    )
    assert found["ada"] == LATE
    with pytest.raises(UsageError, match="deadline 'soon': expected a date and a time"):
        rank([class_folder], SETTINGS, work=work, deadline="soon", executor="inline")


def test_the_last_submission_in_time_counts(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "class"
    for team in ("ada", "cleo"):
        shutil.copytree(class_folder / team, copy / team)
    work = tmp_path / "work"
    rank([copy], SETTINGS, work=work, executor="inline")
    (copy / "ada" / "samples" / "00000.png").unlink()
    shutil.copytree(class_folder / "dan", copy / "dan")

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime(2100, 1, 2, tzinfo=tz)

    monkeypatch.setattr("bench.ranking.rank.datetime", Later)
    found = rank([copy], SETTINGS, work=work, executor="inline", deadline="2100-01-01")
    assert places(found) == {"ada": 1, "cleo": 2, "dan": LATE}
    sizes = [row.record.submission.num_images for row in found.ranked if row.record]
    assert sizes == [150, 150]  # and not the 149 that came later
    assert len(Store(work / "ranking.sqlite3").history("ada")) == 2
    anew = rank([copy], SETTINGS, work=work, executor="inline")
    assert next(row.record.submission.num_images for row in anew.ranked if row.record) == 149


def test_staff_see_the_history_and_decide(
    ranking: Ranking,
    class_folder: Path,
    work: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = str(tmp_path / "work")
    shutil.copytree(work, own)
    assert run(["rank", "history", own]) == EXIT_OK
    shown = capsys.readouterr().out
    assert shown.count("fid ") == 5
    assert "the zip" in shown
    assert run(["rank", "decide", own, "ada", "disqualified", "two accounts"]) == EXIT_OK
    number = next(row.entry.id for row in ranking.rows if row.entry.team == "dan")
    assert run(["rank", "decide", own, f"#{number}", "admitted", "handed in first"]) == EXIT_OK
    capsys.readouterr()
    assert run(["rank", "history", own, "ada"]) == EXIT_OK
    assert "disqualified: two accounts" in capsys.readouterr().out
    found = places(rank([class_folder], SETTINGS, work=own, executor="inline"))
    assert found["ada"] == "two accounts"
    assert found["dan"] == 2
    for words, said in (
        (["history"], "give the private folder"),
        (["history", own, "zoe"], "no submission of team zoe"),
        (["decide", own, "ada", "banned", "x"], "disqualified or admitted"),
        (["decide", own, "zoe", "admitted", "x"], "no submission of team zoe"),
        (["history", str(tmp_path)], "holds no ranking.sqlite3"),
        (["decide", own, "ada", "admitted", ""], "CHECK constraint"),
    ):
        assert run(["rank", *words]) == EXIT_USAGE
        assert said in capsys.readouterr().err


def test_the_board(ranking: Ranking, tmp_path: Path) -> None:
    page = write_board(ranking, tmp_path / "board").read_text()
    assert HOSTILE not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert page.index("ada") < page.index("cleo") < page.index("Not ranked") < page.index("fay")
    assert "do not differ significantly" in page
    assert page.count('<tr class="group">') == 2  # of three rows, one tied
    pages = sorted(path.name for path in (tmp_path / "board" / "teams").iterdir())
    assert len(pages) == 5  # fay has none
    rows = list(csv.DictReader(io.StringIO((tmp_path / "board" / "board.csv").read_text())))
    assert [row["place"] for row in rows] == ["1", "1", "3", "", "", ""]
    first = ranking.rows[0].record
    assert first is not None
    assert float(rows[0]["fid"]) == first.value("fid")
    pairs = list(csv.DictReader(io.StringIO((tmp_path / "board" / "pairs.csv").read_text())))
    assert len(pairs) == 3
    assert "onerror" not in (tmp_path / "board" / "board.tex").read_text().replace("onerror=", "")
    (tmp_path / "board" / "teams" / "gone-99.html").touch()
    write_board(ranking, tmp_path / "board")
    assert sorted(path.name for path in (tmp_path / "board" / "teams").iterdir()) == pages


def test_a_team_page_names_no_path_and_no_other_team(
    ranking: Ranking, class_folder: Path, tmp_path: Path
) -> None:
    write_board(ranking, tmp_path)
    (path,) = (tmp_path / "teams").glob("ada-*.html")
    text = path.read_text()
    assert ">ada<" in text
    assert "cleo" not in text
    assert str(class_folder) not in text


def test_the_command(
    class_folder: Path,
    work: Path,
    ranking: Ranking,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret of 16 bytes")
    out = tmp_path / "board"
    command = ["rank", str(class_folder / "ada"), str(class_folder / "fay.zip"), "--metrics", "fid"]
    (tmp_path / "class.csv").write_text(
        f"name,path\nada,{class_folder / 'ada'}\nfay,{class_folder / 'fay.zip'}\n"
    )
    command[1:3] = [str(tmp_path / "class.csv")]
    command += ["--out", str(out), "--executor", "inline", "--secret", str(secret)]
    assert run([*command, "--mapping", str(tmp_path / "map.csv")]) == EXIT_INVALID
    shown = capsys.readouterr()
    name = pseudonym("ada", b"a secret of 16 bytes")
    assert f"1      {name}" in shown.out
    assert "ada" not in (out / "index.html").read_text()
    assert f"{name},ada" in (tmp_path / "map.csv").read_text()
    assert (tmp_path / "board-private" / "ranking.sqlite3").exists()
    assert run([*command, "--mapping", str(out / "map.csv")]) == EXIT_USAGE
    assert "lies in the published folder" in capsys.readouterr().err
    assert run([*command, "--by", "fid=2,kid_poly3"]) == EXIT_USAGE
    assert "give all metrics a weight" in capsys.readouterr().err
    (tmp_path / "class.csv").write_text(f"name,path\nada,{class_folder / 'ada'}\n")
    assert run([*command, "--by", "fid=2"]) == EXIT_OK
