"""On the committed images, FID rises with every kind of damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.data.datasets import Dataset
from bench.data.perturbations import PERTURBATIONS
from bench.errors import InputError, UsageError
from bench.records.score_record import append_record, read_records
from bench.scoring.scorer import Scorer
from bench.studies import ladder
from bench.studies.ladder import ladder_of, not_rising, run_study
from bench.studies.ladder_report import write_report
from tests.conftest import RealSample


@pytest.fixture(scope="module")
def studies(
    mnist: RealSample, fashion: RealSample, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Run a ladder with two metrics on 500 committed images of each data set."""
    samples = {"mnist": mnist, "fashion-mnist": fashion}

    def load(name: str, split: str, *, data_root: Path | None, download: bool) -> Dataset:
        assert split == "test"
        return Dataset(name, split, *samples[name])

    metrics = ["fid", "modes_covered"]
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "load_dataset", load)
        patch.setattr(
            ladder,
            "Scorer",
            lambda reference: Scorer(reference=reference, metrics=metrics, use_cache=False),
        )
        for data, other in (("mnist", "fashion-mnist"), ("fashion-mnist", "mnist")):
            folders[data] = tmp_path_factory.mktemp(data)
            run_study(folders[data], data=data, other=other, num_images=500)
    return folders


@pytest.mark.parametrize("data", ["mnist", "fashion-mnist"])
def test_fid_rises_strictly_along_every_ladder(studies: dict[str, Path], data: str) -> None:
    fid = ladder_of(read_records(studies[data] / "records.jsonl"), "fid")
    assert list(fid) == list(PERTURBATIONS)
    assert not_rising(fid) == []


def test_report_is_rebuilt_from_its_records_alone(studies: dict[str, Path]) -> None:
    folder = studies["mnist"]
    assert write_report(folder) == []
    first = {name: (folder / name).read_bytes() for name in ("README.md", "ladder.svg")}
    assert write_report(folder) == []
    assert first == {name: (folder / name).read_bytes() for name in first}
    page = first["README.md"].decode()
    assert "FID rises strictly along all of them." in page
    assert "`latentbench ladder --data mnist --other fashion-mnist -n 500 --seed 0`" in page
    assert page.count("| gaussian-noise |") == 2


def test_a_ladder_that_does_not_rise_is_named(studies: dict[str, Path], tmp_path: Path) -> None:
    assert not_rising({"a": [1, 2, 2], "b": [1, 2, 3], "c": [1, None, 3]}) == ["a", "c"]
    records = read_records(studies["mnist"] / "records.jsonl")
    for record in records:
        if record.submission.name == "rotation@3":
            values = tuple(v.model_copy(update={"value": 0.0}) for v in record.values)
            record = record.model_copy(update={"values": values})  # noqa: PLW2901
        append_record(record, tmp_path / "records.jsonl")
    (tmp_path / "command.txt").write_text("x\n")
    assert write_report(tmp_path) == ["rotation"]
    assert "does not rise strictly along rotation" in (tmp_path / "README.md").read_text()


def test_an_incomplete_ladder_is_refused(studies: dict[str, Path]) -> None:
    records = read_records(studies["mnist"] / "records.jsonl")
    with pytest.raises(InputError, match="lacks the record"):
        ladder_of(records[:-1], "fid")
    with pytest.raises(InputError, match="holds no 'kid_poly3'"):
        ladder_of(records, "kid_poly3")


def test_too_few_images(monkeypatch: pytest.MonkeyPatch, mnist: RealSample, tmp_path: Path) -> None:
    data = Dataset("mnist", "test", mnist.images[:150], mnist.labels[:150])
    monkeypatch.setattr(ladder, "load_dataset", lambda *args, **kwargs: data)
    with pytest.raises(UsageError, match="150 test images, fewer than the 200 asked for"):
        run_study(tmp_path, data="mnist", other="mnist", num_images=200)
    assert np.array_equal(list(tmp_path.iterdir()), [])
