"""Everything that Latentbench writes, with small contents."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image

from baselines.ablation.report.folder import About, read_about, write_about
from baselines.recipes.table import recipe_config
from baselines.runs.run_folder import RunFolder, write_sheet
from baselines.sampling.samples_folder import write_manifest, write_samples
from baselines.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from bench.anomaly.folder import files as anomaly_files
from bench.execution.ledger.attempts import Attempt
from bench.execution.ledger.files import folder_state
from bench.execution.ledger.ledger import Ledger, Result
from bench.execution.ledger.work import Job
from bench.extractors import EXTRACTORS
from bench.intake import repair
from bench.plots import save_figure
from bench.records.pictures_file import read_exhibits, write_exhibits
from bench.records.score_record import (
    ScoreRecord,
    append_record,
    read_record_lines,
    read_records,
    write_record,
)
from bench.references.build import build_references
from bench.references.bundle import load_reference
from bench.references.real_images import RealImages, Seen
from bench.reporting.writing import report
from bench.runtime.cache import KINDS, Cache, cache_key
from bench.runtime.whole_files import write_atomically
from bench.scoring.results_folder import write_results
from bench.scoring.scorer import Scorer
from bench.studies.study_folder import write_page, write_rows
from tests.faults.points import Writer
from tests.records.test_score_record import record

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), dtype=np.uint8)
RECORDS = [record(name) for name in ("a", "b", "c")]
EXHIBITS = {"class_shares": np.array([0.4, 0.6]), "grey_histogram": np.arange(256.0)}
CONFIG = recipe_config("course-gan", seed=0, settings=["num_steps=16"])
OLD_CONFIG = recipe_config("course-gan", seed=1, settings=["num_steps=16"])


def checkpoint(step: int) -> Checkpoint:
    tensors = {"networks/generator/w": torch.full((4, 4), float(step))}
    return Checkpoint(CONFIG, step, 16, tensors, "digest", (1, 28, 28), 10)


def _read_json(path: Path) -> object:
    return json.loads(path.read_text()) if path.exists() else None


def _jsonl(folder: Path) -> list[str]:
    """The names in a file of records, which must be readable whatever happened to it."""
    path = folder / "records.jsonl"
    if not path.exists() or b"\n" not in path.read_bytes():
        return []
    return [one.submission.name for one in read_record_lines(path).records]


class _Scored:
    """As much of a scorer as the results folder uses."""

    def exhibits(self, _: ScoreRecord) -> dict[str, np.ndarray[Any, Any]]:
        return dict(EXHIBITS)


def _results(folder: Path) -> None:
    write_results(cast("Scorer", _Scored()), RECORDS, folder)


def _read_results(folder: Path) -> None:
    _jsonl(folder)
    for path in folder.glob("*.json"):
        read_records(path)
    for path in folder.glob("*.npz"):
        read_exhibits(path)


def _cache_entries(folder: Path) -> list[bytes | None]:
    cache = Cache(folder / "cache")
    return [cache.get(kind, cache_key({"kind": kind})) for kind in KINDS[:4]]


def _fill_cache(content: bytes) -> Callable[[Path], None]:
    def fill(folder: Path) -> None:
        cache = Cache(folder / "cache")
        for kind in KINDS[:4]:
            cache.put(kind, cache_key({"kind": kind}), content + kind.encode())

    return fill


def _train(folder: Path) -> None:
    """The files of a run, in the order in which training writes them."""
    run = RunFolder(folder / "run")
    with run.claimed():
        run.make(CONFIG)
        run.log("start", step=0)
        run.log("terms", step=8, g_loss=0.5)
        run.save_milestone(checkpoint(8), {"train_s": 1.0})
        run.save(checkpoint(8), {"train_s": 1.0})
        write_sheet(IMAGES[:4], run.path / "grids" / "00000008.png")
        run.save(checkpoint(16), {"train_s": 2.0})
        write_sheet(IMAGES[4:8], run.path / "grids" / "00000016.png")
        run.log("end", step=16)


def _earlier_run(folder: Path) -> None:
    run = RunFolder(folder / "run")
    run.make(OLD_CONFIG)
    run.log("start", step=0)
    run.save(checkpoint(4), {"train_s": 1.0})
    write_sheet(IMAGES[:4], run.path / "grids" / "00000004.png")


def _read_run(folder: Path) -> None:
    run = RunFolder(folder / "run")
    if (run.path / "checkpoint.safetensors").exists():
        assert read_checkpoint(run.path / "checkpoint.safetensors").step in (4, 8, 16)
    if (run.path / "log.jsonl").exists():
        assert {event["event"] for event in run.events()} <= {
            "start", "terms", "checkpoint", "milestone", "end",
        }  # fmt: skip


def _without_time(path: str, data: bytes) -> bytes:
    return re.sub(rb'"at": "[^"]*"', b"", data) if path.endswith("log.jsonl") else data


JOBS = [Job(key=f"k{n}", label=f"job {n}", payload={"n": n}) for n in range(2)]


def _ledger(folder: Path) -> None:
    """Two jobs from their plan to their results; a finished one is left alone."""
    ledger = Ledger(folder / "ledger")
    ledger.register(JOBS, "tests.faults.writers:work")
    for job in JOBS:
        claim = ledger.claim(job.key)
        assert claim is not None
        with claim:
            ledger.clear_corrupt(job.key)
            if ledger.entry(job.key).result is not None:
                continue
            ledger.close_lost(job.key)
            attempt = Attempt(
                number=1,
                started="2026-01-01T00:00:00+00:00",
                host="here",
                pid=1,
                executor="inline",
                stack=1,
                memory_step=0,
                folder_state=folder_state(ledger.work_folder(job.key)),
            )
            ledger.write_attempt(job.key, attempt)
            result = Result(
                state="done", values={"n": 1}, message=None, attempt=1, seconds=1.0, ended="x"
            )
            ledger.write_result(job.key, result)


def _read_ledger(folder: Path) -> None:
    for entry in Ledger(folder / "ledger").entries():
        assert not entry.corrupt
        assert entry.result is None or entry.result.values == {"n": 1}


class _Known(RealImages):
    """Real images whose features are computed once."""

    def samples(self, *_: object, **__: object) -> Seen:
        return _seen()


@functools.cache
def _seen() -> Seen:
    return RealImages(IMAGES).samples(lambda: [EXTRACTORS["digits"].resolve().load("cpu")])


TRAIN = _Known(IMAGES)


def _reference(folder: Path) -> None:
    build_references(
        "tiny",
        folder,
        extractors=[EXTRACTORS["digits"].resolve()],
        train=TRAIN,
        test=None,
        command="a test",
    )


def _read_reference(folder: Path) -> None:
    """A manifest is there only together with its arrays."""
    for path in folder.glob("*.json"):
        assert load_reference(path).manifest.num_train == len(IMAGES)


class _Figure:
    """As much of a figure as is saved."""

    def savefig(self, stream: Any, **_: object) -> None:
        stream.write(b"<svg/>" * 100)


def _figure(folder: Path) -> None:
    save_figure(cast("Any", _Figure()), folder / "figures" / "a.svg")


def _anomaly(folder: Path) -> None:
    judged = [SimpleNamespace(row=SimpleNamespace(name=name)) for name in ("knn", "svm")]
    made = {"scores.csv": b"name\n", "histogram.svg": b"<svg/>", "most-anomalous.png": b"PNG"}
    row = {"detectors": [{"name": one.row.name} for one in judged]}
    written = SimpleNamespace(model_dump_json=lambda **_: json.dumps(row))
    anomaly_files.write_files(
        folder, cast("Any", written), cast("Any", None), cast("Any", judged), [made] * 2
    )


def _study(folder: Path) -> None:
    write_rows(folder, [{"n": 1}, {"n": 2}])
    write_page(folder, ["# A study", "", "done"])


def _ablation(folder: Path) -> None:
    write_about(folder, About(plan={"name": "x"}, command="latentbench ablate", ledger="ledger"))


def _read_ablation(folder: Path) -> object:
    return read_about(folder).command if (folder / "plan.json").exists() else None


def _samples(first: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_samples(IMAGES[first : first + 4], folder / "samples", replace=True)
        write_manifest(folder / "samples", {"first": first})

    return write


def _before_repair(folder: Path) -> None:
    np.save(folder / "images.npy", IMAGES[:3])


def _repair(folder: Path) -> None:
    if not (folder / "fixed").exists():
        repair(folder / "images.npy", folder / "fixed")


def _open_pictures(folder: Path) -> int:
    count = 0
    for path in sorted(folder.rglob("*.png")):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            with Image.open(path) as picture:
                picture.load()
            count += 1
    return count


def _write_page(of: list[ScoreRecord], name: str) -> Callable[[Path], object]:
    return lambda folder: report(of, folder / "out" / name)


LINES = ("records.jsonl",)
RESULTS = {"write": _results, "read": _read_results, "grows": LINES}
WRITERS = (
    Writer(
        name="record",
        write=lambda folder: write_record(RECORDS[0], folder / "a.json"),
        read=lambda folder: _read_json(folder / "a.json"),
    ),
    Writer(
        name="record over another",
        before=lambda folder: write_record(RECORDS[1], folder / "a.json"),
        write=lambda folder: write_record(RECORDS[0], folder / "a.json"),
        read=lambda folder: read_records(folder / "a.json")[0].submission.name,
    ),
    Writer(
        name="records.jsonl",
        write=lambda folder: [append_record(one, folder / "records.jsonl") for one in RECORDS],
        read=_jsonl,
        grows=LINES,
    ),
    Writer(
        name="records.jsonl that exists",
        before=lambda folder: append_record(RECORDS[0], folder / "records.jsonl"),
        write=lambda folder: [append_record(one, folder / "records.jsonl") for one in RECORDS],
        read=_jsonl,
        grows=LINES,
    ),
    Writer(
        name="exhibits",
        before=lambda folder: write_exhibits({"class_shares": np.ones(3)}, folder / "a.npz"),
        write=lambda folder: write_exhibits(EXHIBITS, folder / "a.npz"),
        read=lambda folder: sorted(read_exhibits(folder / "a.npz")),
    ),
    Writer(name="results", **RESULTS),
    Writer(name="results over results", before=_results, **RESULTS),
    Writer(name="cache", write=_fill_cache(b"new"), swallows=True),
    Writer(
        name="cache over a cache", before=_fill_cache(b"old"), write=_fill_cache(b"new"),
        swallows=True,
    ),
    Writer(
        name="checkpoint",
        before=lambda folder: write_checkpoint(folder / "a.safetensors", checkpoint(1)),
        write=lambda folder: write_checkpoint(folder / "a.safetensors", checkpoint(2)),
        read=lambda folder: read_checkpoint(folder / "a.safetensors").step,
    ),
    Writer(
        name="run", write=_train, read=_read_run, grows=("run/log.jsonl",), canonical=_without_time
    ),
    Writer(
        name="run over a run", before=_earlier_run, write=_train, read=_read_run,
        grows=("run/log.jsonl",), canonical=_without_time,
    ),
    Writer(name="ledger", write=_ledger, read=_read_ledger, again=False, swallows=True),
    Writer(name="reference", write=_reference, read=_read_reference, again=False),
    Writer(name="figure", write=_figure),
    Writer(name="anomaly", write=_anomaly),
    Writer(name="anomaly over anomaly", before=_anomaly, write=_anomaly),
    Writer(name="study", write=_study),
    Writer(name="ablation", write=_ablation, read=_read_ablation),
    Writer(name="samples", write=_samples(0), read=_open_pictures, folders=("samples/",)),
    Writer(
        name="samples over samples", before=_samples(4), write=_samples(0), folders=("samples/",)
    ),
    Writer(
        name="repair", before=_before_repair, write=_repair, read=_open_pictures,
        folders=("fixed/",),
    ),
    Writer(name="report.md", write=_write_page(RECORDS, "report.md")),
    Writer(
        name="report.md over another",
        before=_write_page(RECORDS[:1], "report.md"),
        write=_write_page(RECORDS, "report.md"),
    ),
    Writer(
        name="new exhibits",
        write=lambda folder: write_exhibits(EXHIBITS, folder / "a.npz"),
    ),
    Writer(
        name="new checkpoint",
        write=lambda folder: write_checkpoint(folder / "a.safetensors", checkpoint(2)),
    ),
    Writer(
        name="study over a study",
        before=lambda folder: write_rows(folder, [{"n": 0}]),
        write=_study,
    ),
    Writer(
        name="ablation over another",
        before=lambda folder: write_about(folder, About(plan={}, command="a", ledger="b")),
        write=_ablation,
        read=_read_ablation,
    ),
    Writer(
        name="figure over a figure",
        before=lambda folder: write_atomically(folder / "figures" / "a.svg", b"old"),
        write=_figure,
    ),
)  # fmt: skip
