"""Each bundle as its platform runs it: golden results, failures, renamed files."""

from __future__ import annotations

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, InputError
from bench.platforms import codabench, gradescope, huggingface
from bench.platforms.evalai import evaluate
from bench.platforms.outcome import score_submission
from bench.platforms.settings import prepare
from bench.scoring.scorer import Scorer
from tests.platforms import run_bundles
from tests.platforms.golden import METRICS, SUBMISSION, result, submission_files, without_numbers
from tests.platforms.trees import codabench_tree, extract, gradescope_tree, offline, run_offline


def scores_of(name: str, found: Any) -> dict[str, float]:
    """The columns that a platform reads from its result."""
    if name == "gradescope":
        return {row["name"]: row["value"] for row in found["leaderboard"]}
    if name == "evalai":
        return dict(found["result"][0]["images"])
    return dict(found["public_score"] if name == "huggingface" else found)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What `latentbench score` gives for the same files, in the order of their names."""
    folder = extract(SUBMISSION, tmp_path_factory.mktemp("alone")) / "samples"
    record = Scorer(reference="mnist", metrics=METRICS, use_cache=False).score(folder)
    return {name: record.value(name) for name in METRICS}


@pytest.mark.parametrize("name", sorted(run_bundles.RUNS))
def test_a_good_submission(name: str, tmp_path: Path, alone: dict[str, float]) -> None:
    made = run_bundles.bundle(name, tmp_path)
    found = run_bundles.RUNS[name](made, tmp_path / "tree")
    assert without_numbers(found) == without_numbers(result(name))
    scores = scores_of(name, found)
    assert list(scores) == list(METRICS)
    assert all(isinstance(one, float) and math.isfinite(one) for one in scores.values())
    for metric, value in scores.items():
        assert value == pytest.approx(alone[metric], rel=1e-6)
        assert value == pytest.approx(scores_of(name, result(name))[metric], rel=1e-3)

    if name == "codabench":
        student_sees_score_and_findings(
            (tmp_path / "tree/output/detailed_results.html").read_text()
        )


def student_sees_score_and_findings(page: str) -> None:
    assert "22.57" in page
    assert "60 images are too few" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings that 60 digits do not meet."""
    made = prepare(title="Digits", reference="mnist", spec="mnist-10k")
    (tmp_path / "settings.json").write_bytes(made.files["settings.json"])
    return tmp_path / "settings.json"


def strict(tree: Path, place: str, settings: Path) -> Path:
    (tree / place / "settings.json").write_bytes(settings.read_bytes())
    return tree


def test_an_invalid_submission_fails_on_codabench_with_a_page(
    tmp_path: Path, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run_bundles.bundle("codabench", tmp_path)
    tree = strict(codabench_tree(made, tmp_path / "tree", SUBMISSION), "input/ref", settings)
    assert codabench.main([str(tree / "input"), str(tree / "output")]) == EXIT_INVALID
    assert [path.name for path in (tree / "output").iterdir()] == ["detailed_results.html"]
    page = (tree / "output" / "detailed_results.html").read_text()
    assert "10,000" in page
    assert "What to do" in page
    assert str(tmp_path) not in page + capsys.readouterr().out


def test_gradescope_has_a_result_whatever_happens(tmp_path: Path, settings: Path) -> None:
    made = run_bundles.bundle("gradescope", tmp_path)
    tree = strict(gradescope_tree(made, tmp_path / "tree", SUBMISSION), "source", settings)
    results = tree / "results" / "results.json"
    environment = offline(AUTOGRADER_ROOT=str(tree), LATENTBENCH_PYTHON="/bin/false")
    done = run_offline([tree / "run_autograder"], cwd=tree, environment=environment)
    assert done.returncode == 0
    stopped = json.loads(results.read_text())
    assert "stopped before it finished" in stopped["output"]
    assert (stopped["score"], stopped["leaderboard"]) == (0.0, [])
    assert gradescope.main([str(tree)]) == EXIT_OK
    failed = json.loads(results.read_text())
    assert failed["score"] == 0.0
    assert "10,000" in failed["output"]
    assert failed["tests"][0]["output"] == failed["output"]
    assert str(tmp_path) not in results.read_text()


def test_the_setup_of_gradescope_installs_what_the_archive_holds(tmp_path: Path) -> None:
    """With programs in place of `pip3` and `python3` that only write down their arguments."""
    made = run_bundles.bundle("gradescope", tmp_path)
    tree = gradescope_tree(made, tmp_path / "tree", SUBMISSION)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("pip3", "python3"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n')
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "AUTOGRADER_ROOT": str(tree)}
    done = run_offline([tree / "source" / "setup.sh"], cwd=tree, environment=environment)
    assert done.returncode == 0, done.stderr
    install, venv, packages = (tmp_path / "calls").read_text().splitlines()
    assert install == "pip3 install uv"
    assert venv == f"python3 -m uv venv --python 3.12 {tree}/venv"
    assert "--torch-backend cpu torch torchvision" in packages
    assert f"--python {tree}/venv/bin/python" in packages
    assert Path(packages.split()[-1]).is_file()
    grade = (tree / "run_autograder").read_text()
    assert "python=${LATENTBENCH_PYTHON:-$root/venv/bin/python}" in grade


def test_gradescope_writes_a_provisional_result_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run_bundles.bundle("gradescope", tmp_path)
    tree = gradescope_tree(made, tmp_path / "tree", SUBMISSION)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gradescope, "score_submission", killed)
    with pytest.raises(KeyboardInterrupt):
        gradescope.main([str(tree)])
    results = tree / "results"
    assert "stopped before" in json.loads((results / "results.json").read_text())["output"]
    assert os.listdir(results) == ["results.json"]  # noqa: PTH208  (no temporary file)


def test_an_invalid_submission_fails_on_evalai_and_huggingface(
    tmp_path: Path, settings: Path
) -> None:
    with pytest.raises(InputError, match="10,000"):
        evaluate(settings, SUBMISSION, "submissions")
    out = tmp_path / "result.json"
    assert huggingface.main([str(settings), str(SUBMISSION), str(out)]) == EXIT_INVALID
    found = json.loads(out.read_text())
    assert found["scores"] == {}
    assert "10,000" in found["text"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_broken_archive_is_a_reason_and_no_crash(
    content: bytes, tmp_path: Path, settings: Path
) -> None:
    file = tmp_path / "team.zip"
    file.write_bytes(content)
    outcome = score_submission(file, settings)
    assert outcome.exit_code != EXIT_OK
    assert outcome.error
    assert not outcome.scores
    assert str(tmp_path) not in outcome.text


def test_an_empty_submission_and_missing_settings(tmp_path: Path, settings: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = score_submission(tmp_path / "empty", settings)
    assert outcome.exit_code != EXIT_OK
    assert str(tmp_path) not in outcome.text
    outcome = score_submission(SUBMISSION, tmp_path / "none.json")
    assert outcome.exit_code == EXIT_USAGE
    assert "tell the staff" in outcome.error


def test_a_metric_without_a_value_fails_with_its_reason(tmp_path: Path) -> None:
    made = prepare(title="Digits", reference="mnist", metrics=["fid"])
    (tmp_path / "settings.json").write_bytes(made.files["settings.json"])
    np.save(tmp_path / "one.npy", np.zeros((1, 28, 28), np.uint8))
    outcome = score_submission(tmp_path / "one.npy", tmp_path / "settings.json")
    assert outcome.exit_code == EXIT_INVALID
    assert outcome.error.startswith("fid has no value: ")


def test_renamed_files_get_the_same_result_to_the_last_digit(tmp_path: Path, mnist: Any) -> None:
    """As an archive and as a folder, and for metrics whose choices depend on the order."""
    metrics = ("fid", "kid_poly3", "inception_score", "prd_f8", "vendi_score", "anomaly_auc")
    made = prepare(title="Digits", reference="mnist", metrics=metrics)
    (tmp_path / "settings.json").write_bytes(made.files["settings.json"])
    pictures = [data for name, data in submission_files().items() if name.startswith("samples/img")]
    renamed = tmp_path / "renamed.zip"
    with zipfile.ZipFile(renamed, "w") as archive:
        for place, number in enumerate(np.random.default_rng(3).permutation(len(pictures))):
            archive.writestr(f"{number:04d}.png", pictures[place])
    results = [
        score_submission(path, tmp_path / "settings.json")
        for path in (SUBMISSION, renamed, extract(renamed, tmp_path / "folder"))
    ]
    assert results[0].scores == results[1].scores == results[2].scores
    assert list(results[0].scores) == list(metrics)
    assert results[0].table == results[1].table == results[2].table


def test_findings_name_the_files_of_the_student(tmp_path: Path, mnist: Any) -> None:
    """Images are scored in another order than that of the names."""
    from tests.conftest import write_pngs

    images = mnist.images[:40].copy()
    images[7] = 0
    folder = write_pngs(images, tmp_path / "samples")
    made = prepare(title="Digits", reference="mnist", metrics=["fid"])
    (tmp_path / "settings.json").write_bytes(made.files["settings.json"])
    outcome = score_submission(folder, tmp_path / "settings.json")
    assert outcome.record is not None
    blank = [one for one in outcome.record.findings if one.code == "constant-images"]
    assert [one.examples for one in blank] == [("00007.png",)]
