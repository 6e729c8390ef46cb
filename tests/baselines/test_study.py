"""The study: one command, rows, resuming, intervals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from baselines import study
from baselines.data import TrainingSet
from baselines.recipes import RECIPES, recipe_config
from baselines.run_folder import RunFolder
from baselines.runs import TrainingDiverged
from baselines.study import cpu_share, main, read_rows, shortened
from baselines.study_report import interval, render
from bench.datasets import Dataset
from tests.conftest import RealSample

NUM_IMAGES = 60


@pytest.fixture
def _small_data(monkeypatch: pytest.MonkeyPatch, digits: TrainingSet, mnist: RealSample) -> None:
    def load(name: str, split: str, *, data_root: Path | None) -> Dataset:
        return Dataset(name, split, mnist.images[500:800], mnist.labels[500:800])

    monkeypatch.setattr(study, "load_training_set", lambda name, **_options: digits)
    monkeypatch.setattr(study, "load_dataset", load)


def arguments(tmp_path: Path, *recipes: str) -> list[str]:
    return [
        "--out", str(tmp_path / "report"), "--work", str(tmp_path / "runs"),
        "--recipes", *recipes, "--data", "mnist", "--seeds", "2", "--share", "0.0001",
        "--num-images", str(NUM_IMAGES), "--device", "cpu",
    ]  # fmt: skip


@pytest.mark.usefixtures("_small_data")
def test_rows_report_and_resuming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = arguments(tmp_path, "ae-linear", "vae")
    main(wanted)
    records = tmp_path / "report" / "records.jsonl"
    rows = read_rows(records)
    ways = {"ae-linear": ("prior-gaussian", "prior-mixture", "reconstruction"), "vae": ("plain",)}
    assert set(rows) == {
        ("mnist", recipe, seed, way)
        for recipe, names in ways.items()
        for seed in (0, 1)
        for way in names
    }
    row = rows["mnist", "vae", 1, "plain"]
    assert row["num_images"] == NUM_IMAGES
    assert row["num_steps"] == 16
    assert row["share"] == pytest.approx(16 / recipe_config("vae").num_steps)
    assert row["values"]["fid"] > 0
    assert row["train_s"] > 0
    report = (tmp_path / "report" / "README.md").read_text()
    assert "Shortened budgets" in report
    assert "| vae | plain | 2 |" in report
    assert "grids/mnist-vae-plain.png" in report
    assert (tmp_path / "report" / "grids" / "mnist-vae-plain.png").is_file()
    before = records.read_bytes()

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("trained or sampled again")

    monkeypatch.setattr("baselines.runs.Engine.run_block", never)
    monkeypatch.setattr(study, "Sampler", never)
    main(wanted)
    assert records.read_bytes() == before
    shutil.rmtree(tmp_path / "runs")  # rows are enough: another machine can go on
    main(wanted)
    assert records.read_bytes() == before
    (tmp_path / "report" / "README.md").unlink()
    main([*wanted, "--render"])
    assert (tmp_path / "report" / "README.md").read_text() == report


@pytest.mark.usefixtures("_small_data")
def test_a_diverged_run_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = study.train_stack

    def diverging(configs: list, data: TrainingSet, folders: list, **options: object) -> None:
        if configs[0].seed == 1:
            folders[0].mkdir(parents=True)
            RunFolder(folders[0]).log("diverged", step=3, term="loss")
            raise TrainingDiverged("loss is not finite")
        train(configs, data, folders, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(study, "train_stack", diverging)
    main(arguments(tmp_path, "vae"))
    rows = read_rows(tmp_path / "report" / "records.jsonl")
    assert set(rows) == {("mnist", "vae", 0, "plain"), ("mnist", "vae", 1, "diverged")}
    report = (tmp_path / "report" / "README.md").read_text()
    assert "diverged: seed 1: loss is not finite at step 3" in report


def test_intervals_over_seeds_by_hand() -> None:
    # mean 2, deviation 1, three seeds: t(0.975, 2) = 4.303, over the root of 3
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.3027 / 3**0.5), rel=1e-4)
    assert interval([5.0]) == (5.0, None)


def test_budgets() -> None:
    for name in RECIPES:
        assert shortened(name, "mnist", 0, 1.0) == recipe_config(name)
        assert shortened(name, "mnist", 0, 1e-9).num_steps == 16


def test_the_cpu_sized_study_shortens_every_recipe() -> None:
    for name in RECIPES:
        steps = shortened(name, "mnist", 0, cpu_share(name)).num_steps
        assert 400 < steps < 5000
    assert cpu_share("vae-conv") == cpu_share("vae")
    assert cpu_share("dcgan") > cpu_share("infogan")


def test_a_full_length_report_says_nothing_of_short_budgets(tmp_path: Path) -> None:
    row = {
        "data": "mnist", "recipe": "vae", "seed": 0, "sampling": "plain", "share": 1.0,
        "values": {"fid": 12.3456}, "perfect": {"fid": 0.25}, "train_s": 60.0,
        "num_images": 10_000, "device": "cpu",
    }  # fmt: skip
    text = render([json.loads(json.dumps(row))], tmp_path)
    assert "Shortened" not in text
    assert "| vae | plain | 1 | full | 12.3 |" in text


def row(recipe: str, sampling: str, seed: int, fid: float, coverage: float) -> dict[str, object]:
    """A scored run; recall is .8 of real images' .5 where coverage is .8 of theirs."""
    return {
        "data": "mnist",
        "recipe": recipe,
        "seed": seed,
        "sampling": sampling,
        "share": 1.0,
        "num_images": 10,
        "train_s": 1.0,
        "device": "cpu",
        "values": {"fid": fid, "coverage_k5": coverage, "recall_k3": coverage / 2},
        "perfect": {"fid": 0.0, "coverage_k5": 1.0, "recall_k3": 0.5},
    }


def test_what_the_baselines_should_show_by_hand(tmp_path: Path) -> None:
    rows = [
        *(row("dcgan", "plain", seed, 2.0, 0.7 + seed / 5) for seed in (0, 1)),  # mean .8
        row("course-gan", "plain", 0, 30.0, 0.2),
        row("course-gan-tricks", "plain", 0, 10.0, 0.3),
        row("ae-dense", "prior-gaussian", 0, 20.0, 0.1),
        row("ae-dense", "prior-mixture", 0, 9.0, 0.1),
        row("ae-dense", "reconstruction", 0, 8.0, 0.1),
    ]
    page = render(rows, tmp_path)
    for line in (
        "- recall_k3 of DCGAN, at least .90 of what real images have: 0.80, **not reached**",
        "- coverage_k5 of DCGAN, at least .90 of what real images have: 0.80, **not reached**",
        "- FID of the course generator over that with tricks, at least 2: 3.00, reached",
        "with tricks over that without, at least 2: 1.50, **not reached**",
        "- FID rises: DCGAN 2, the plain course generator 30, an autoencoder sampled from one "
        "Gaussian 20, **not reached**",
        "- FID rises: its reconstructions 8, from a mixture 9, an autoencoder sampled from one "
        "Gaussian 20, reached",
        # mean .8, deviation .1414, t(0.975, 1) = 12.706, over the root of 2: 1.27
        "| dcgan | plain | 2 | full | 2 ± 0 | none | 0.40 ± 0.64 | none | 0.8 ± 1.3 |",
    ):
        assert line in page, line
    assert "should show" not in render([row("vae", "plain", 0, 1.0, 1.0)], tmp_path)
