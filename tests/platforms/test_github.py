"""The GitHub action: its steps as a runner runs them, the summary, annotations and outputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE
from bench.platforms.github import annotation, main
from bench.records.score_record import read_records
from tests.conftest import RealSample, write_pngs
from tests.platforms.trees import ROOT, namespace, offline

ACTION = ROOT / ".github" / "actions" / "score" / "action.yml"


@pytest.fixture(scope="module")
def action() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(ACTION.read_text())
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, mnist: RealSample) -> Path:
    return write_pngs(mnist.images[:120], tmp_path_factory.mktemp("images") / "samples")


def environment(tmp_path: Path, **inputs: str) -> dict[str, str]:
    return {
        "INPUT_METRICS": "fid",
        "INPUT_OUT": str(tmp_path / "out"),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        **inputs,
    }


def outputs(tmp_path: Path) -> dict[str, str]:
    lines = (tmp_path / "outputs").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_action_declares_what_it_uses(action: dict[str, Any]) -> None:
    score = action["runs"]["steps"][-1]
    assert action["runs"]["using"] == "composite"
    for name, value in score["env"].items():
        assert value == f"${{{{ inputs.{name.removeprefix('INPUT_').lower()} }}}}"
        assert name.removeprefix("INPUT_").lower() in action["inputs"]
    for name, output in action["outputs"].items():
        assert output["value"] == f"${{{{ steps.score.outputs.{name} }}}}"
    scripts = "".join(step.get("run", "") for step in action["runs"]["steps"])
    assert "${{" not in scripts  # inputs reach the shell by the environment alone
    assert ((ACTION.parent / ".." / ".." / "..").resolve() / "pyproject.toml").is_file()


def test_the_score_step_in_a_shell(action: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    """As the runner does it: bash -e -o pipefail, the inputs in the environment, no network."""
    python = tmp_path / "latentbench" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    script = tmp_path / "step.sh"
    script.write_text(action["runs"]["steps"][-1]["run"])
    inputs = {f"INPUT_{name.upper()}": "" for name in action["inputs"]}
    inputs |= {"INPUT_FOLDER": str(folder), "INPUT_METRICS": "fid", "RUNNER_TEMP": str(tmp_path)}
    done = subprocess.run(
        [*namespace(), "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
        env={**offline(), **environment(tmp_path), **inputs},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_OK, done.stderr
    found = outputs(tmp_path)
    (record,) = read_records(found["record"])
    assert record.submission.num_images == 120
    assert Path(found["page"]).is_file()
    assert found["regression"] == "false"
    assert found["verdict"].startswith("FID ")
    summary = (tmp_path / "summary.md").read_text()
    assert "## Latentbench report" in summary
    assert "| fid" in summary.replace("`fid`", "fid")


def test_findings_and_regressions_become_annotations(
    mnist: RealSample, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(environment(tmp_path, INPUT_FOLDER=str(folder))) == EXIT_OK
    baseline = outputs(tmp_path)["record"]
    worse = write_pngs(255 - mnist.images[150:270], tmp_path / "worse")
    second = tmp_path / "second"
    second.mkdir()
    given = environment(
        second, INPUT_FOLDER=str(worse), INPUT_BASELINE=baseline, INPUT_TOLERANCE="2%"
    )
    capsys.readouterr()
    assert main(given) == EXIT_INVALID
    shown = capsys.readouterr().out
    assert "::warning title=inverted-polarity::" in shown
    assert "::error title=regression fid::" in shown
    assert outputs(second)["regression"] == "true"
    assert "Against the baseline" in (second / "summary.md").read_text()


def test_an_invalid_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = write_pngs(np.zeros((3, 28, 28, 1), np.uint8), tmp_path / "few")
    given = environment(tmp_path, INPUT_FOLDER=str(few), INPUT_SPEC="mnist-10k")
    assert main(given) == EXIT_INVALID
    assert "::error title=wrong-count::" in capsys.readouterr().out
    assert "wrong-count" in (tmp_path / "summary.md").read_text()
    assert "record" not in outputs(tmp_path)


@pytest.mark.parametrize(
    "inputs",
    [
        {"INPUT_FOLDER": ""},
        {"INPUT_FOLDER": "samples", "INPUT_BASELINE": "missing.json"},
        {"INPUT_FOLDER": "samples", "INPUT_METRICS": "fdi"},
        {"INPUT_FOLDER": "samples", "INPUT_REFERENCE": "nist"},
    ],
)
def test_wrong_inputs(
    inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(environment(tmp_path, **inputs))
    assert code in (EXIT_INVALID, EXIT_USAGE)
    assert capsys.readouterr().out.startswith("::error title=latentbench::")
    assert not os.path.exists(tmp_path / "out")  # noqa: PTH110


def test_text_from_outside_starts_no_command_of_its_own() -> None:
    line = annotation("warning", "a,b", "x\n::set-output name=y::z\r")
    assert line.count("\n") == 1
    assert line.startswith("::warning title=a%2Cb::x%0A::set-output")
