"""From a folder to a record: the whole chain on real images."""

from __future__ import annotations

import json
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
from bench.intake import Size, SubmissionSpec
from bench.metrics import METRICS
from bench.metrics.base import Sizes
from bench.records.score_record import COMPILING_STAGE, ScoreRecord
from bench.records.submission import submission_name
from bench.references.bundle import load_reference
from bench.references.lookup import find_manifest
from bench.references.perfect_values import perfect_values
from bench.scoring.scorer import Failure, Scorer, score, score_many
from bench.statistics.moments import subset_rows
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


def test_wrong_image_size_is_told(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 1), dtype=np.uint8)
    with pytest.raises(InputError, match="takes 28x28 px images, got 32x32"):
        score(write_pngs(images, tmp_path / "large"))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_few_images_give_values_or_reasons(mnist: RealSample, n: int) -> None:
    record = Scorer().score_images(mnist.images[:n], name="few")
    for entry in record.values:
        assert (entry.value is None) != (entry.reason is None)
        assert entry.reason is None or len(entry.reason) > 10
    absent = {entry.metric for entry in record.values if entry.value is None}
    assert ("fid" in absent) == (n < 2)
    assert ("recall_k3" in absent) == (n <= 3)
    assert ("precision_k3" in absent) is False


def test_all_images_equal(mnist: RealSample) -> None:
    images = np.repeat(mnist.images[:1], 200, axis=0)
    record = Scorer().score_images(images, name="collapsed")
    assert record.value("modes_covered") == 1
    assert record.value("vendi_score") == pytest.approx(1, abs=1e-6)
    assert record.value("recall_k3") <= 1e-3
    json.loads(record.model_dump_json())


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


@pytest.fixture
def two_sizes(mnist: RealSample, tmp_path: Path) -> Path:
    """40 digits of 28x28 px and 5 of 36 px wide and 30 high."""
    folder = write_pngs(mnist.images[:40], tmp_path / "sizes")
    for number, image in enumerate(mnist.images[40:45, :, :, 0]):
        Image.fromarray(np.pad(image, ((1, 1), (4, 4)))).save(folder / f"z{number}.png")
    return folder


def test_mixed_sizes_are_refused_unless_resizing_is_asked_for(
    two_sizes: Path, mnist: RealSample, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSubmission, match="mixed-sizes"):
        score(two_sizes, metrics=FAST)
    record = score(two_sizes, metrics=FAST, resize="28")
    assert record.submission.resize == "28x28"
    assert (record.submission.width_px, record.submission.height_px) == (28, 28)
    assert "|resize=28x28|" in record.signature
    assert "resized" in [finding.code for finding in record.findings]
    # what Pillow makes of the five, saved by hand
    by_hand = write_pngs(mnist.images[:40], tmp_path / "hand")
    for path in two_sizes.glob("z*.png"):
        with Image.open(path) as image:
            image.resize((28, 28), Image.Resampling.BICUBIC).save(by_hand / path.name)
    expected = score(by_hand, metrics=FAST, use_cache=False)
    assert record.submission.sequence_digest == expected.submission.sequence_digest
    assert record.values == expected.values
    assert expected.submission.resize is None
    assert expected.signature != record.signature


def test_width_comes_first_in_what_is_recorded(two_sizes: Path) -> None:
    options = {"reference": two_sizes, "extractor": "random-conv", "metrics": "fid"}
    sizes = {"24x16": "24x16", Size(height=18, width=24): "24x18", "20": "20x20"}
    for given, resize in sizes.items():
        record = score(two_sizes, resize=given, **options)  # type: ignore[arg-type]
        assert record.submission.resize == resize
        width, height = map(int, resize.split("x"))
        assert (record.submission.width_px, record.submission.height_px) == (width, height)
        assert f"|resize={resize}|" in record.signature


def test_a_spec_and_resizing_contradict_each_other(two_sizes: Path) -> None:
    with pytest.raises(UsageError, match="resize to 28x28 px: spec mnist-10k .* leave out one"):
        score(two_sizes, resize="28", spec="mnist-10k")


# ------------------------------------------------------------------------ more images than are kept


@pytest.fixture(scope="module")
def reduced(digits_folder: Path) -> ScoreRecord:
    return score(digits_folder, subset=100, use_cache=False)


def test_of_many_images_all_count_where_they_can(record: ScoreRecord, reduced: ScoreRecord) -> None:
    assert (record.subset, reduced.subset) == (None, 100)
    assert "|n=300|subset=100|" in reduced.signature
    classes = {"inception_score", "modes_covered", "class_kl", "mean_confidence"}
    everything = {"fid", "fid_test", *classes}
    assert {metric.name for metric in METRICS.values() if metric.sees == "all"} == everything
    whole = {entry.metric: entry for entry in record.values}
    for entry in reduced.values:
        sees_all = entry.metric in everything
        assert entry.n_fake == (300 if sees_all else 100), entry.metric
        if sees_all:
            assert entry.value == pytest.approx(whole[entry.metric].value, rel=1e-9), entry.metric
            spread = whole[entry.metric].spread
            assert entry.spread == (None if spread is None else pytest.approx(spread, rel=1e-9))
            assert entry.expected == whole[entry.metric].expected
            assert entry.expected_source == whole[entry.metric].expected_source


def test_the_others_see_the_fixed_choice_as_if_it_were_the_submission(
    reduced: ScoreRecord, mnist: RealSample
) -> None:
    """Value and expectation are those of the 100 images alone."""
    chosen = mnist.images[subset_rows(300, 100)]
    alone = Scorer(use_cache=False).score_images(chosen, name="chosen")
    entries = {entry.metric: entry for entry in alone.values}
    compared = 0
    for entry in reduced.values:
        if METRICS[entry.metric].sees == "all" or entry.metric == "fid_infinity":
            continue
        assert entry.value == pytest.approx(entries[entry.metric].value, rel=1e-4), entry.metric
        assert entry.expected == entries[entry.metric].expected, entry.metric
        assert entry.expected_source == entries[entry.metric].expected_source
        compared += 1
    assert compared == 11


def test_a_subset_of_all_images_changes_nothing(digits_folder: Path, record: ScoreRecord) -> None:
    same = score(digits_folder, subset=300, metrics=FAST, use_cache=False)
    assert same.subset is None
    assert same.signature == record.signature
    for name in FAST:
        assert same.value(name) == record.value(name)


def test_arrays_in_memory_are_reduced_alike(mnist: RealSample, reduced: ScoreRecord) -> None:
    images = mnist.images[:300]
    again = Scorer(subset=100, metrics=FAST).score_images(images, name="x")
    assert again.subset == 100
    for name in FAST:
        assert again.value(name) == pytest.approx(reduced.value(name), rel=1e-6)


@pytest.mark.parametrize("subset", [1, 0, -5])
def test_subsets_that_are_too_small(subset: int) -> None:
    with pytest.raises(UsageError, match=f"subset {subset}: expected at least 2 images"):
        Scorer(subset=subset)


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
