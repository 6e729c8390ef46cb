"""The study's command: rows, report, resuming, divergence, faults."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from baselines.ablation.recipe_study import sampled_runs
from baselines.ablation.recipe_study.__main__ import main
from baselines.ablation.recipe_study.recipes import Study, recipe_jobs
from baselines.ablation.recipe_study.rows import DIVERGED, RECORDS, Row, publish, read_rows
from baselines.ablation.recipe_study.run_recipes import run_study
from baselines.ablation.recipe_study.sampled_runs import SampledRun
from baselines.recipes.table import recipe_config
from baselines.runs.run_folder import RunFolder
from baselines.runs.train import TrainingDiverged, train_stack
from bench.errors import (
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_NOTHING_FOUND,
    EXIT_USAGE,
    InputError,
    UsageError,
)
from bench.execution.ledger.claims import try_claim
from tests.baselines.conftest import context_of

NUM_IMAGES = 60


def arguments(tmp_path: Path, *recipes: str) -> list[str]:
    return [
        "--out", str(tmp_path / "report"), "--ledger", str(tmp_path / "runs"),
        "--recipes", *recipes, "--data", "mnist", "--num-seeds", "2", "--share", "0.0001",
        "--num-images", str(NUM_IMAGES), "--device", "cpu", "--executor", "inline",
    ]  # fmt: skip


def never(*_arguments: object, **_options: object) -> None:
    raise AssertionError("done again")


def test_rows_report_and_resuming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert row.num_images == NUM_IMAGES
    assert row.num_steps == 16
    assert row.share == pytest.approx(16 / recipe_config("vae").num_steps)
    fid = row.values["fid"]
    assert fid is not None
    assert fid > 0
    assert row.train_s is not None
    assert row.train_s > 0
    assert row.train_cpu_s is not None
    assert row.train_cpu_s > 0
    assert row.terms["elbo"] == pytest.approx(
        row.terms["log_likelihood"] - row.terms["kl"], abs=1e-3
    )
    report = (tmp_path / "report" / "README.md").read_text()
    assert "Shortened budgets" in report
    out = tmp_path / "report"
    whole = f"python -m baselines.ablation.recipe_study --out {out}"
    limits = "--num-seeds 2 --share 0.0001 --num-images 60"
    assert f"    {whole} --recipes ae-linear vae --data mnist {limits}\n" in report
    assert "| vae | plain | 2 |" in report
    assert "grids/mnist-vae-plain.png" in report
    assert (tmp_path / "report" / "grids" / "mnist-vae-plain.png").is_file()
    assert not list((tmp_path / "runs").rglob("samples-*/"))
    before = records.read_bytes()

    monkeypatch.setattr("baselines.runs.train.Engine.run_block", never)
    monkeypatch.setattr(sampled_runs, "Sampler", never)
    main(wanted)
    assert records.read_bytes() == before
    shutil.rmtree(tmp_path / "runs")  # rows are enough: another machine can go on
    main(wanted)
    assert records.read_bytes() == before
    (tmp_path / "report" / "README.md").unlink()
    main([*wanted, "--render"])
    assert (tmp_path / "report" / "README.md").read_text() == report


def test_the_report_names_the_recipes_that_it_holds(tmp_path: Path) -> None:
    for recipe in ("vae-beta", "vae"):
        main([*arguments(tmp_path, recipe), "--num-seeds", "1"])
    report = (tmp_path / "report" / "README.md").read_text()
    assert "--recipes vae vae-beta --data mnist --num-seeds 1 --share" in report


def test_a_lost_report_comes_back_from_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(arguments(tmp_path, "vae"))
    before = read_rows(tmp_path / "report" / "records.jsonl")
    shutil.rmtree(tmp_path / "report")
    monkeypatch.setattr("baselines.runs.train.Engine.run_block", never)
    main(arguments(tmp_path, "vae"))
    assert read_rows(tmp_path / "report" / "records.jsonl") == before
    assert (tmp_path / "report" / "grids" / "mnist-vae-plain.png").is_file()


def test_scoring_goes_on_behind_what_was_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = SampledRun._score
    seen: list[str] = []

    def failing(*given: Any) -> Any:
        seen.append(given[2])
        if seen == ["prior-gaussian", "prior-mixture"]:
            raise RuntimeError("gone in the middle")
        return scored(*given)

    monkeypatch.setattr(SampledRun, "_score", failing)
    wanted = [*arguments(tmp_path, "ae-linear"), "--num-seeds", "1"]
    with pytest.raises(SystemExit) as caught:
        main(wanted)
    assert caught.value.code == EXIT_INVALID
    monkeypatch.setattr("baselines.runs.train.Engine.run_block", never)
    main(wanted)
    assert seen == ["prior-gaussian", "prior-mixture", "prior-mixture", "reconstruction"]
    assert len(read_rows(tmp_path / "report" / "records.jsonl")) == 3


def test_a_diverged_run_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = train_stack

    def diverging(configs: list, data: object, folders: list, **options: object) -> None:
        if configs[0].seed == 1:
            RunFolder(folders[0]).log("diverged", step=3, term="loss")
            raise TrainingDiverged("loss is not finite")
        train(configs, data, folders, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("baselines.runs.jobs.train_stack", diverging)
    main(arguments(tmp_path, "vae"))
    rows = read_rows(tmp_path / "report" / "records.jsonl")
    assert set(rows) == {("mnist", "vae", 0, "plain"), ("mnist", "vae", 1, "diverged")}
    report = (tmp_path / "report" / "README.md").read_text()
    assert "diverged: seed 1: loss is not finite at step 3" in report
    monkeypatch.setattr("baselines.runs.jobs.train_stack", never)
    main(arguments(tmp_path, "vae"))  # a result, not tried again
    assert read_rows(tmp_path / "report" / "records.jsonl") == rows


def test_a_stack_of_seeds_gives_the_same_rows(tmp_path: Path) -> None:
    study = Study(recipes=("vae",), data=("mnist",), num_seeds=2, share=1e-4, num_images=60)
    run_study(study, tmp_path / "alone", tmp_path / "one", executor="inline")
    jobs = recipe_jobs(study.runs())
    found = sampled_runs.do_stack(
        [job.payload for job in jobs], [context_of(job, tmp_path / job.key) for job in jobs]
    )
    alone = read_rows(tmp_path / "alone" / "records.jsonl")
    for outcome in found:
        assert not isinstance(outcome, Exception)
        (row,) = outcome["rows"]
        assert row["stacked"] == 2
        assert row["values"] == alone["mnist", "vae", row["seed"], "plain"].values


def test_less_memory_changes_batches_only(tmp_path: Path) -> None:
    study = Study(recipes=("vae",), data=("mnist",), num_seeds=1, share=1e-4, num_images=60)
    (job,) = recipe_jobs(study.runs())
    contexts = [context_of(job, tmp_path / str(step), memory_step=step) for step in (0, 4)]
    rows = [sampled_runs.do_run(job.payload, context)["rows"] for context in contexts]
    fids = [row["values"]["fid"] for (row,) in rows]
    assert fids[1] == pytest.approx(fids[0], rel=1e-4)


def test_samples_are_kept_on_request(tmp_path: Path) -> None:
    main([*arguments(tmp_path, "vae"), "--num-seeds", "1", "--keep-samples"])
    (folder,) = (tmp_path / "runs").rglob("samples-plain")
    assert len(list(folder.glob("*.png"))) == NUM_IMAGES
    manifest = json.loads(folder.with_name("samples-plain.manifest.json").read_text())
    assert manifest["config"]["recipe"] == "vae"


def test_wrong_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for extra, expected in (
        (["--share", "2"], "share 2.0: expected more than 0"),
        (["--share", "0.5", "--cpu-sized"], "both set the budget"),
        (["--executor", "nowhere"], "unknown executor 'nowhere'"),
        (["--num-images", "10001"], "10001 images: expected 2 to 10000"),
        (["--recipes", "nonsense"], "invalid choice: 'nonsense'"),
        (["--num-seeds", "x"], "invalid int value: 'x'"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([*arguments(tmp_path, "vae"), *extra])
        assert caught.value.code == EXIT_USAGE
        assert expected in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    with pytest.raises(SystemExit) as caught:
        main(["--render", "--out", str(tmp_path / "typo")])
    assert caught.value.code == EXIT_NOTHING_FOUND
    assert not (tmp_path / "typo").exists()


def test_a_full_disk_is_told_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("baselines.ablation.recipe_study.rows.write_atomically", full)
        with pytest.raises(SystemExit) as caught:
            main(arguments(tmp_path, "vae"))
    assert caught.value.code == EXIT_USAGE
    assert "No space left on device; fix this" in capsys.readouterr().err
    main(arguments(tmp_path, "vae"))
    assert len(read_rows(tmp_path / "report" / RECORDS)) == 2


def test_lost_pictures_come_back_from_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(arguments(tmp_path, "vae"))
    shutil.rmtree(tmp_path / "report" / "grids")
    monkeypatch.setattr("baselines.runs.train.Engine.run_block", never)
    main(arguments(tmp_path, "vae"))
    assert (tmp_path / "report" / "grids" / "mnist-vae-plain.png").is_file()


def test_damaged_rows_of_a_job_are_scored_again(tmp_path: Path) -> None:
    study = Study(recipes=("vae",), data=("mnist",), num_seeds=1, share=1e-4, num_images=60)
    (job,) = recipe_jobs(study.runs())
    found = sampled_runs.do_run(job.payload, context_of(job, tmp_path / "work"))["rows"]
    for damage in ("[{", '[{"sampling": "other"}]', "{}"):
        (tmp_path / "work" / "rows.json").write_text(damage)
        again = sampled_runs.do_run(job.payload, context_of(job, tmp_path / "work"))["rows"]
        assert [row["values"] for row in again] == [row["values"] for row in found]


def test_ctrl_c_ends_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("baselines.runs.jobs.train_stack", interrupted)
    with pytest.raises(SystemExit) as caught:
        main(arguments(tmp_path, "vae"))
    assert caught.value.code == EXIT_INTERRUPTED


def one_row(seed: int = 0, sampling: str = "plain", **changes: Any) -> Row:
    whole = {
        "data": "mnist", "recipe": "vae", "seed": seed, "sampling": sampling, "num_steps": 16,
        "share": 0.1, "narrowing": "", "config_digest": "a", "values": {"fid": 1.0},
    }  # fmt: skip
    return Row(**whole | changes)


def test_a_run_made_again_takes_the_place_of_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / RECORDS
    publish(path, [one_row(0), one_row(0, "truncation-1.0")])
    publish(path, [one_row(1)])
    assert [row.key[2:] for row in read_rows(path).values()] == [
        (0, "plain"), (0, "truncation-1.0"), (1, "plain"),
    ]  # fmt: skip
    publish(path, [one_row(0, DIVERGED, values={}, reason="loss is not finite at step 3")])
    assert [row.key[2:] for row in read_rows(path).values()] == [(1, "plain"), (0, DIVERGED)]
    before = path.read_bytes()
    publish(path, [one_row(1)])  # as a second command would
    publish(path, [one_row(0, DIVERGED, values={}, reason="loss is not finite at step 3")])
    assert sorted(path.read_bytes().splitlines()) == sorted(before.splitlines())


def test_another_command_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("baselines.ablation.recipe_study.rows.WAIT_S", 0.1)
    claim = try_claim(tmp_path / ".records.lock")
    assert claim is not None
    with claim, pytest.raises(UsageError, match="another command has been writing there"):
        publish(tmp_path / RECORDS, [one_row()])
    publish(tmp_path / RECORDS, [one_row()])


def test_rows_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / RECORDS
    publish(path, [one_row(0), one_row(1)])
    whole = path.read_text()
    path.write_text(whole[:-20])  # a crash: the last line is made again
    assert list(read_rows(path)) == [("mnist", "vae", 0, "plain")]
    publish(path, [one_row(1)])
    assert path.read_text() == whole
    path.write_text('{"data": "mnist"}\n' + whole)
    with pytest.raises(
        InputError, match=r"records\.jsonl, line 1: not a row of this study \(recipe"
    ):
        read_rows(path)
    with pytest.raises(ValueError, match="finite number"):
        one_row(train_s=float("nan"))
