"""From a folder to a record: the whole chain on real images."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import bench
from bench.errors import (
    EXIT_INTERNAL,
    InputError,
    InvalidSubmission,
    NothingFoundError,
    UnexpectedError,
    UnknownNameError,
    UsageError,
)
from bench.extractors import EXTRACTORS
from bench.extractors.compiling import CompiledOncePaid
from bench.intake import SubmissionSpec
from bench.metrics import METRICS
from bench.metrics.base import Sizes
from bench.records.score_record import COMPILING_STAGE, ScoreRecord
from bench.records.submission import submission_name
from bench.references.bundle import load_reference
from bench.references.lookup import find_manifest
from bench.references.perfect_values import perfect_values
from bench.scoring.scorer import Failure, Scorer, score, score_many
from tests.conftest import RealSample, write_pngs

FAST = ["fid", "precision_k3", "modes_covered"]


@pytest.fixture(scope="module")
def record(digits_folder: Path) -> ScoreRecord:
    return score(digits_folder, use_cache=False)


def test_every_metric_is_there_with_what_a_reader_needs(record: ScoreRecord) -> None:
    assert [entry.metric for entry in record.values] == list(METRICS)
    for entry in record.values:
        assert entry.value is not None, entry
        assert entry.expected is not None, entry
        assert entry.expected_source in (
            "closed form",
            "300 held-out real images",
            "two parts of the held-out images",
        )
        assert entry.n_fake == 300
    sizes = {entry.metric: entry.n_real for entry in record.values}
    assert (sizes["fid"], sizes["precision_k3"], sizes["inception_score"]) == (60_000, 10_000, None)
    assert record.official
    assert record.extractor.digest == EXTRACTORS["digits"].weights.sha256
    assert record.submission.num_images == 300
    assert {"intake and features", "expected values", "fid"} <= set(record.timings_s)
    assert {"torch", "numpy", "python"} <= set(record.libraries)


def test_real_images_score_about_as_a_perfect_submission(record: ScoreRecord) -> None:
    """300 test images against 300 other test images: the same up to sampling. The first 2,000
    test images are by other writers than the rest (FID differs), so bounds are wide.
    """
    entries = {entry.metric: entry for entry in record.values}
    for name, tolerance in {
        "precision_k3": 0.08,
        "recall_k3": 0.12,
        "density_k5": 0.25,
        "inception_score": 0.8,
        "mean_confidence": 0.03,
        "anomaly_auc": 0.08,
        "prd_f8": 0.05,
        "prd_f1_8": 0.05,
    }.items():
        entry = entries[name]
        assert entry.value == pytest.approx(entry.expected, abs=tolerance), name
    assert entries["modes_covered"].value == 10


def test_noise_is_worse_on_every_count(record: ScoreRecord, mnist: RealSample) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 28, 28, 1), dtype=np.uint8)
    noisy = Scorer(use_cache=False).score_images(noise, name="noise")
    for name in ("precision_k3", "recall_k3", "density_k5", "coverage_k5", "prd_f8"):
        assert noisy.value(name) < 0.2 * record.value(name), name
    assert noisy.value("fid") > 100 * record.value("fid")
    assert noisy.value("anomaly_auc") > 0.999


def test_expected_values_have_the_closed_forms() -> None:
    reference = load_reference(find_manifest("mnist"))
    expected = perfect_values(reference, METRICS.values(), 2_000, seed=2020)
    # protocols: 2,000 fakes against 10,000 reals, k = 5
    assert expected["coverage_k5"].value == pytest.approx(0.598, abs=5e-4)
    assert METRICS["coverage_k5"].expected is not None
    assert METRICS["coverage_k5"].expected(Sizes(10_000, 10_000)) == pytest.approx(
        0.968773, abs=1e-6
    )
    assert expected["density_k5"].value == 1.0
    assert expected["fid"].source == "2,000 held-out real images"


def _zip(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return target


def _npz(folder: Path, target: Path) -> Path:
    images = score_images_of(folder)
    np.savez(target, images=images)
    return target


def score_images_of(folder: Path) -> np.ndarray:
    report = bench.audit(folder)
    assert report.images is not None
    return report.images.images


@pytest.mark.parametrize("pack", [_zip, _npz])
def test_the_container_does_not_matter(
    digits_folder: Path,
    tmp_path: Path,
    record: ScoreRecord,
    pack: Callable[[Path, Path], Path],
) -> None:
    suffix = pack.__name__.removeprefix("_")
    packed = score(pack(digits_folder, tmp_path / f"x.{suffix}"), metrics=FAST, use_cache=False)
    assert packed.submission.pixel_digest == record.submission.pixel_digest
    for name in FAST:
        assert packed.value(name) == record.value(name)


def test_the_order_of_files_does_not_matter(
    mnist: RealSample, tmp_path: Path, record: ScoreRecord
) -> None:
    shuffled = np.random.default_rng(1).permutation(300)
    other = score(write_pngs(mnist.images[shuffled], tmp_path / "s"), use_cache=False)
    assert other.submission.pixel_digest == record.submission.pixel_digest
    for entry in record.values:
        tolerance = {
            "kid_poly3": 0.02,
            "fid_infinity": 0.5,
            "prd_f8": 0.05,
            "prd_f1_8": 0.05,
        }.get(entry.metric, 1e-5)
        assert entry.value is not None
        assert other.value(entry.metric) == pytest.approx(entry.value, rel=tolerance, abs=tolerance)


def test_the_same_content_is_not_scored_twice(
    digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = score(digits_folder, metrics=FAST)
    assert not first.from_cache

    def fail(*args: object) -> None:
        raise AssertionError("the extractor was loaded")

    monkeypatch.setattr("bench.extractors.compact_cnn.load", fail)
    again = score(digits_folder, metrics=FAST)
    assert again.from_cache
    assert again.values == first.values
    # other metrics of the same images: the features are at hand
    other = score(digits_folder, metrics=["recall_k3"])
    assert not other.from_cache
    # another seed is another protocol
    assert not score(digits_folder, metrics=FAST, seed=1).from_cache
    with pytest.raises(AssertionError, match="was loaded"):
        score(digits_folder, metrics=FAST, use_cache=False)


def test_cached_scores_are_those_of_this_submission_and_protocol(
    mnist: RealSample, tmp_path: Path
) -> None:
    folder = write_pngs(mnist.images[:60], tmp_path / "a" / "samples")
    other = write_pngs(np.repeat(mnist.images[:60], 3, axis=3), tmp_path / "b" / "samples")
    first = score(folder, metrics=["fid"])
    again = score(other, metrics=["fid"])
    assert again.from_cache
    assert (first.submission.name, again.submission.name) == ("a/samples", "b/samples")
    assert [finding.code for finding in again.findings] == ["grey-as-rgb", "few-images"]
    assert set(again.timings_s) == {"intake and features"}
    fashion = score(folder, metrics=["fid"], reference="fashion-mnist")
    assert not fashion.from_cache
    assert fashion.value("fid") == score(
        folder, metrics=["fid"], reference="fashion-mnist", use_cache=False
    ).value("fid")
    assert fashion.value("fid") != first.value("fid")


def test_a_cached_record_of_another_schema_is_scored_again(
    digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(digits_folder, metrics=["fid"])
    monkeypatch.setattr(
        "bench.runtime.cache.Cache.get",
        lambda self, kind, key: b'{"schema_version": 1}' if kind == "scores" else None,
    )
    assert not score(digits_folder, metrics=["fid"]).from_cache


def test_equal_signatures_mean_equal_values(mnist: RealSample, tmp_path: Path) -> None:
    images = mnist.images[:60]
    one = Scorer(metrics="inception_score").score_images(images, name="x")
    two = Scorer(metrics="inception_score").score_images(images[::-1], name="x")
    assert one.submission.pixel_digest == two.submission.pixel_digest
    assert one.signature != two.signature


def test_names_of_submissions() -> None:
    assert submission_name("samples/") == "samples"
    assert submission_name("hand-ins/team-a/samples") == "team-a/samples"
    assert submission_name("/abs/team-a.zip") == "abs/team-a.zip"
    assert submission_name("/top") == "top"
    assert submission_name(".").endswith(Path.cwd().name)


def test_a_submission_that_goes_away_stops_no_other(
    digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object, **kwargs: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("bench.scoring.result_cache.ImageStream", gone)
    (failure,) = score_many(digits_folder, metrics=FAST)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, InputError)


def test_a_defect_stops_no_other_submission(
    digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised becomes a failure with a report."""
    raised: list[Exception] = [KeyError("seven"), MemoryError(), RecursionError("deep")]
    real = Scorer.score_all

    def sometimes(self: Scorer, path: str, **options: Any) -> list[ScoreRecord]:
        if path == "bad":
            raise raised[0]
        return real(self, path, **options)

    monkeypatch.setattr(Scorer, "score_all", sometimes)
    for error in list(raised):
        failure, scored = score_many(["bad", digits_folder], metrics="modes_covered")
        assert isinstance(scored, ScoreRecord)
        assert isinstance(failure, Failure)
        assert isinstance(failure.error, UnexpectedError)
        assert failure.error.exit_code == EXIT_INTERNAL
        assert f"bad: unexpected {type(error).__name__}" in str(failure.error)
        assert "in sometimes" in failure.error.report
        raised.pop(0)


@pytest.mark.parametrize("exits", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_defect(
    digits_folder: Path, monkeypatch: pytest.MonkeyPatch, exits: type[BaseException]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise exits

    monkeypatch.setattr(Scorer, "score_all", interrupted)
    with pytest.raises(exits):
        list(score_many([digits_folder], metrics=FAST))


def test_what_python_users_hand_in(mnist: RealSample) -> None:
    scorer = Scorer(metrics="modes_covered", seed=np.int64(3), reference="mnist")  # type: ignore[arg-type]
    assert scorer.settings.seed == 3
    flat = scorer.score_images(mnist.images[:50, :, :, 0], name=Path("x"))  # type: ignore[arg-type]
    strided = scorer.score_images(mnist.images[:100][::2], name="y")
    assert flat.submission.num_images == strided.submission.num_images == 50
    with pytest.raises(InputError, match="uint8"):
        scorer.score_images(mnist.images[:5].astype(np.float32), name="z")
    tensor = torch.from_numpy(mnist.images[:50]).float().requires_grad_().round().byte()
    batches = (mnist.images[i : i + 20] for i in (0, 20))
    pictures = [Image.fromarray(image) for image in mnist.images[40:50, :, :, 0]]
    assert scorer.score_images(tensor, name="x").submission.digest == flat.submission.digest
    again = scorer.score_images([*batches, *pictures], name="x")
    assert again.submission.digest == flat.submission.digest
    with pytest.raises(InputError, match=r"images.transpose\(0, 2, 3, 1\)"):
        scorer.score_images(mnist.images[:50].transpose(0, 3, 1, 2), name="x")
    for seed in (-1, 2**32):
        with pytest.raises(UsageError, match="expected 0 to"):
            Scorer(seed=seed)
    with pytest.raises(UsageError, match="no metric is named"):
        Scorer(metrics=[])


def test_prd_says_how_many_real_images_it_used(mnist: RealSample) -> None:
    record = Scorer(metrics="prd_f8").score_images(mnist.images[:80], name="x")
    assert record.values[0].n_real == 80


def test_limit_is_unofficial(digits_folder: Path) -> None:
    limited = score(digits_folder, limit=100, metrics=FAST)
    assert (limited.official, limited.submission.num_images) == (False, 100)
    assert limited.signature.endswith("unofficial")
    assert score(digits_folder, limit=300, metrics=["fid"]).official
    # the same hundred images handed in as such are official, though the values are cached
    whole = Scorer(metrics=FAST).score_images(score_images_of(digits_folder)[:100], name="hundred")
    assert whole.official
    assert whole.values == limited.values


def test_one_bad_submission_does_not_stop_the_others(digits_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"\x89PNG nonsense")
    empty = tmp_path / "empty"
    empty.mkdir()
    results = list(score_many([broken, tmp_path / "missing", empty, digits_folder], metrics=FAST))
    failures = [result for result in results if isinstance(result, Failure)]
    assert [type(failure.error) for failure in failures] == [
        InvalidSubmission,
        UsageError,
        NothingFoundError,
    ]
    assert isinstance(results[3], ScoreRecord)
    assert results[3].value("modes_covered") == 10


def test_a_spec_is_enforced(digits_folder: Path) -> None:
    with pytest.raises(InvalidSubmission) as caught:
        score(digits_folder, spec="mnist-10k")
    assert [finding.code for finding in caught.value.findings] == ["wrong-count"]  # type: ignore[attr-defined]
    fitting = bench.load_spec("mnist-10k").model_copy(update={"count": 300})
    assert isinstance(fitting, SubmissionSpec)
    assert score(digits_folder, spec=fitting, metrics=FAST).submission.num_images == 300


def test_unknown_names(digits_folder: Path) -> None:
    for arguments, message in (
        ({"metrics": ["fdi"]}, "Did you mean 'fid'"),
        ({"reference": "minst"}, "Did you mean 'mnist'"),
        ({"extractor": "digit"}, "Did you mean 'digits'"),
        ({"spec": "mnist"}, "mnist-10k"),
    ):
        with pytest.raises(UnknownNameError, match=message):
            score(digits_folder, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"device 'nonsense' cannot be used here \(cpu, cuda\)"):
        score(digits_folder, device="nonsense")


def test_rgb_submissions(mnist: RealSample, tmp_path: Path, record: ScoreRecord) -> None:
    grey_as_rgb = np.repeat(mnist.images[:300], 3, axis=3)
    same = score(write_pngs(grey_as_rgb, tmp_path / "rgb"), metrics=FAST)
    assert [finding.code for finding in same.findings] == ["grey-as-rgb"]
    assert same.value("fid") == record.value("fid")
    tinted = grey_as_rgb.copy()
    tinted[..., 0] //= 2
    coloured = score(write_pngs(tinted, tmp_path / "tinted"), metrics=FAST)
    assert "colour-to-grey" in [finding.code for finding in coloured.findings]
    assert coloured.value("fid") > record.value("fid")


# ---------------------------------------------------------------------------------------- resizing


# ------------------------------------------------------------------------ more images than are kept


def test_what_compiling_cost_is_told_with_the_submission_that_paid(
    digits_folder: Path, tmp_path: Path, mnist: RealSample
) -> None:
    write_pngs(mnist.images[:40], tmp_path)
    scorer = Scorer(reference="mnist", metrics=["modes_covered"], use_cache=False)
    network = scorer.targets[0].network
    network.compiling = CompiledOncePaid(network.forward, network.batch_size)  # type: ignore[attr-defined]
    network.compiling.compile_s = 23.0  # type: ignore[attr-defined]
    assert scorer.score(digits_folder).timings_s[COMPILING_STAGE] == 23.0
    assert COMPILING_STAGE not in scorer.score(tmp_path).timings_s
