"""The bundles: golden trees, archives, files that name each other, wrong input."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import zipfile
from importlib import resources
from pathlib import Path

import pytest
import yaml

from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE, UsageError
from bench.platforms import platforms
from bench.platforms.bundle import IMAGE_GB, bundle_files
from bench.platforms.platforms import PLATFORMS
from bench.platforms.settings import PlatformSettings, prepare, read_settings
from bench.platforms.wheel import wheel
from bench.scoring.scorer import Scorer
from bench.scoring.settings import ScoreSettings
from tests.conftest import write_pngs
from tests.platforms.golden import (
    GOLDEN,
    METRICS,
    SUBMISSION,
    bundle_texts,
    parts,
    submission_files,
)
from tests.platforms.trees import ROOT

every_platform = pytest.mark.parametrize("name", sorted(PLATFORMS))


@pytest.fixture(autouse=True)
def _small_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "wheel", lambda: ("latentbench-0-py3-none-any.whl", b"wheel"))


@every_platform
def test_the_golden_tree(name: str) -> None:
    """`python -m tests.platforms.golden` makes it again."""
    root = GOLDEN / "bundles" / name
    golden = {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }
    assert {path: data.decode() for path, data in bundle_texts(name).items()} == golden


def test_the_golden_submission_is_the_one_that_the_script_makes() -> None:
    with zipfile.ZipFile(SUBMISSION) as archive:
        assert set(archive.namelist()) == set(submission_files())


@every_platform
def test_two_bundles_of_the_same_settings_are_equal(name: str) -> None:
    assert bundle_files(PLATFORMS[name], parts()) == bundle_files(PLATFORMS[name], parts())


def names_in(archive: bytes) -> set[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return set(source.namelist())


def test_codabench_names_files_that_are_there_and_columns_that_are_written() -> None:
    files = bundle_files(PLATFORMS["codabench"], parts())
    inside = names_in(files["competition.zip"])
    competition = yaml.safe_load(files["competition/competition.yaml"])
    assert competition["title"] == 'Digits: "<2026>"'
    assert competition["docker_image"] == "you/scoring:1"
    assert competition["enable_detailed_results"] is True
    named = [competition["image"], competition["terms"]]
    named += [page["file"] for page in competition["pages"]]
    assert set(named) <= inside
    (task,) = competition["tasks"]
    assert f"{task['scoring_program']}/metadata.yaml" in inside
    assert f"{task['reference_data']}/settings.json" in inside
    (board,) = competition["leaderboards"]
    found = [(column["key"], column["sorting"]) for column in board["columns"]]
    assert found == [("fid", "asc"), ("precision_k3", "desc"), ("recall_k3", "desc")]
    assert competition["phases"][0]["execution_time_limit"] == 600


def test_gradescope_has_its_programs_at_the_root_of_the_archive() -> None:
    archive = bundle_files(PLATFORMS["gradescope"], parts())["autograder.zip"]
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        rights = {one.filename: one.external_attr >> 16 & 0o777 for one in source.infolist()}
    assert rights["run_autograder"] == rights["setup.sh"] == 0o755
    assert {"settings.json", "provisional.json"} <= set(rights)


def test_evalai_names_files_that_are_there() -> None:
    files = bundle_files(PLATFORMS["evalai"], parts())
    inside = names_in(files["challenge.zip"])
    challenge = yaml.safe_load(files["challenge/challenge_config.yaml"])
    keys = ("description", "evaluation_details", "terms_and_conditions", "image")
    keys += ("submission_guidelines", "evaluation_script")
    assert {challenge[key] for key in keys} <= inside
    (phase,) = challenge["challenge_phases"]
    assert {phase["description"], phase["test_annotation_file"]} <= inside
    schema = challenge["leaderboard"][0]["schema"]
    assert schema["labels"] == list(METRICS)
    assert schema["default_order_by"] == "fid"
    assert challenge["challenge_phase_splits"][0]["is_leaderboard_order_descending"] is False
    assert names_in(files["challenge/evaluation_script.zip"]) == {"__init__.py", "main.py"}


def test_huggingface_sorts_by_the_first_column() -> None:
    files = bundle_files(PLATFORMS["huggingface"], parts())
    conf = json.loads(files["repository/conf.json"])
    assert (conf["EVAL_METRIC"], conf["SCORING_METRIC"]) == ("custom", "fid")
    assert conf["EVAL_HIGHER_IS_BETTER"] == 0


def test_the_size_of_an_image_is_the_one_that_was_found() -> None:
    lines = (ROOT / "reports" / "platforms" / "rows.jsonl").read_text().splitlines()
    (row,) = (one for one in map(json.loads, lines) if one["platform"] == "image")
    total = row["packages_mb"] + 2 * row["wheel_mb"] + row["base_mb"]
    assert total / 1000 == pytest.approx(IMAGE_GB, abs=0.1)
    assert f"about {IMAGE_GB} GB" in bundle_texts("codabench")["image/Dockerfile"].decode()


def test_the_wheel_holds_the_package_and_a_true_record() -> None:
    name, data = wheel()
    assert name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = next(one for one in archive.namelist() if one.endswith("/RECORD"))
        lines = archive.read(info).decode().splitlines()
        listed = [line.split(",") for line in lines]
        assert {one[0] for one in listed} == set(archive.namelist())
        for path, digest, size in listed:
            if path == info:
                continue
            content = archive.read(path)
            found = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            assert (digest, int(size)) == (f"sha256={found.decode()}", len(content))
        points = archive.read(info.replace("RECORD", "entry_points.txt")).decode()
        assert "latentbench = bench.__main__:main" in points
    paths = {one[0] for one in listed}
    assert "bench/platforms/templates/gradescope/setup.sh.j2" in paths
    assert "reference_stats/mnist-digits.npz" in paths
    assert not [path for path in paths if "__pycache__" in path]


def test_a_reference_of_ones_own_travels_with_the_bundle(tmp_path: Path) -> None:
    packaged = Path(str(resources.files("reference_stats")))
    for suffix in (".json", ".npz"):
        shutil.copy(packaged / f"mnist-digits{suffix}", tmp_path / f"hidden{suffix}")
    spec = tmp_path / "strict.toml"
    spec.write_text('name = "strict"\ncount = 60\n')
    out = tmp_path / "out"
    command = ["platform", "codabench", str(out), "--reference", str(tmp_path / "hidden.json")]
    assert run([*command, "--spec", str(spec), "--metrics", "recall_k3,fid"]) == EXIT_OK
    data = out / "competition" / "reference_data"
    assert {path.name for path in data.iterdir()} == {
        "settings.json",
        "reference.json",
        "reference.npz",
        "spec.toml",
    }
    shutil.rmtree(tmp_path / "out" / "image")
    (tmp_path / "hidden.json").unlink()
    settings = read_settings(data / "settings.json")
    assert settings.metrics == ("recall_k3", "fid")
    scorer = Scorer(ScoreSettings(**settings.score_options(data)))
    assert scorer.reference.manifest.name == "mnist"
    assert scorer.settings.submission_spec is not None
    assert scorer.settings.submission_spec.count == 60


def test_a_full_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert run(["platform", "gradescope", str(tmp_path)]) == EXIT_USAGE
    assert "is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert run(["platform", "gradescope", str(tmp_path / "thesis.txt")]) == EXIT_USAGE


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["kaggle", "{out}"], "unknown platform 'kaggle'"),
        (["codabench", "{out}", "--metrics", "fdi"], "Did you mean 'fid'?"),
        (["codabench", "{out}", "--metrics", "density_k5,fid"], "put another metric first"),
        (["codabench", "{out}", "--reference", "nist"], "unknown reference 'nist'"),
        (["codabench", "{out}", "--reference", "{out}.json"], "no such reference manifest"),
        (["codabench", "{out}", "--reference", "{real}"], "latentbench reference build"),
        (["codabench", "{out}", "--spec", "mnist-9k"], "mnist-10k"),
        (["codabench", "{out}", "--spec", "{out}.toml"], "{out}.toml"),
    ],
)
def test_wrong_input(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], mnist
) -> None:
    places = {
        "out": str(tmp_path / "out"),
        "real": str(write_pngs(mnist.images[:2], tmp_path / "real")),
    }
    assert run(["platform", *(word.format(**places) for word in options)]) == EXIT_USAGE
    assert said.format(**places) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_settings_that_somebody_edited_wrongly(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    with pytest.raises(UsageError, match="cannot be read"):
        read_settings(file)
    file.write_text('{"title": "x", "reference": "mnist", "metric": "fid"}')
    with pytest.raises(UsageError, match="metric"):
        read_settings(file)
    made = prepare(title="x", reference="mnist")
    file.write_bytes(made.settings.to_json())
    assert read_settings(file) == made.settings == PlatformSettings(title="x", reference="mnist")
