"""Time and peak memory as the number of images grows, each size in a process of its own.

    python -m tests.throughput.growth --out reports/growth

Three series: the whole `score` of a folder of PNG digits, all metrics; FID alone of such a folder
with an extractor of 2048 features that costs nearly nothing, which shows what the stream holds;
the neighbour pass alone of N against N rows of 2048 features. Peak memory is the largest resident
set of the process during the measured call, less its resident set just before (Linux: read from
/proc). `--render` rebuilds the report from its records.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.runtime.whole_files import write_atomically

if TYPE_CHECKING:
    from bench.scoring.scorer import Scorer

NUM_FEATURES = 2_048
SERIES = {  # numbers of images
    "score": (2_500, 5_000, 10_000, 20_000, 40_000, 100_000),
    "fid-2048": (10_000, 20_000, 40_000, 100_000),
    "neighbours-2048": (2_500, 5_000, 10_000, 20_000, 40_000),
}
TITLES = {
    "score": "`score` of N PNG digits, all metrics, 10,000 real images",
    "fid-2048": "FID alone of N PNG digits, 2048 features",
    "neighbours-2048": "neighbour pass, N real against N fake rows of 2048 features",
}
WRITE_SAMPLES = """
import sys
from pathlib import Path
from baselines.runs.demo import generate_digits
from baselines.sampling.samples_folder import write_samples
write_samples(generate_digits(int(sys.argv[1]), seed=0), Path(sys.argv[2]))
"""


def _status_mb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def _measured(call: Callable[[], object]) -> dict[str, object]:
    """Seconds and extra peak memory of one call."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before_mb, start = _status_mb("VmRSS"), time.perf_counter()
    call()
    elapsed_s = time.perf_counter() - start
    return {"time_s": elapsed_s, "peak_mb": _status_mb("VmHWM") - before_mb}


def _score(n: int, make_scorer: Callable[[Path], Scorer]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples"
        # in another process, whose freed memory cannot be taken for room that was there before
        subprocess.run([sys.executable, "-c", WRITE_SAMPLES, str(n), samples], check=True)
        scorer = make_scorer(Path(folder))
        scorer.score(samples, limit=500)
        records = []
        measured = _measured(lambda: records.append(scorer.score(samples)))
    return measured | {"stages_s": records[0].timings_s}


def measure_score(n: int) -> dict[str, object]:
    from bench.scoring.scorer import Scorer

    return _score(n, lambda _: Scorer(reference="mnist", use_cache=False))


class WideProjection:
    """A random projection of 28x28 pixels to 2048 features: uint8 N,28,28,1 -> float32 N,2048."""

    digest = "growth-1"
    feature_dim = NUM_FEATURES
    channels = 1

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._matrix = rng.standard_normal((784, NUM_FEATURES), dtype=np.float32) / 784

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return images.reshape(len(images), -1).astype(np.float32) @ self._matrix


def measure_fid(n: int) -> dict[str, object]:
    from bench.scoring.scorer import Scorer

    def make(folder: Path) -> Scorer:
        real = folder / "real"
        subprocess.run([sys.executable, "-c", WRITE_SAMPLES, "2500", real], check=True)
        extractor = "tests.throughput.growth:WideProjection"
        return Scorer(reference=real, extractor=extractor, metrics="fid", use_cache=False)

    return _score(n, make)


def measure_neighbours(n: int) -> dict[str, object]:
    from bench.statistics.neighbours.search import neighbour_pass

    rng = np.random.default_rng(0)
    spectrum = (1 / np.sqrt(1 + np.arange(NUM_FEATURES))).astype(np.float32)
    real, fake = (
        rng.standard_normal((n, NUM_FEATURES), dtype=np.float32) * spectrum for _ in range(2)
    )
    neighbour_pass(real[:500], fake[:500])
    return _measured(lambda: neighbour_pass(real, fake)) | {"stages_s": {}}


MEASURES = {
    "score": measure_score,
    "fid-2048": measure_fid,
    "neighbours-2048": measure_neighbours,
}


def run_study(out: Path, chosen: list[str]) -> None:
    records = out / "records.jsonl"
    before = records.read_text().splitlines() if records.is_file() else []
    lines = [line for line in before if json.loads(line)["series"] not in chosen]
    for series in chosen:
        for n in SERIES[series]:
            command = [sys.executable, "-m", "tests.throughput.growth", "--one", series, str(n)]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            point = {"series": series, "n": n} | json.loads(result.stdout)
            lines.append(json.dumps(point))
            print(f"{series} N={n}: {point['time_s']:.2f} s, {point['peak_mb']:.0f} MB")
    write_atomically(records, ("\n".join(lines) + "\n").encode())


def render(out: Path) -> None:
    from matplotlib.figure import Figure

    from bench.plots import MARKERS, OKABE_ITO, save_figure

    points = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    lines = [
        "# Growth with the number of images",
        "",
        "Made by `python -m tests.throughput.growth --out reports/growth` on "
        f"{points[0]['machine']}; one run a size, so read the shape, not the third digit. "
        "Peak memory is above imports and inputs.",
        "",
        "![time and peak memory over N](growth.svg)",
    ]
    for number, series in enumerate(SERIES):
        chosen = [point for point in points if point["series"] == series]
        sizes = [point["n"] for point in chosen]
        for ax, key in zip(axes, ("time_s", "peak_mb"), strict=True):
            ax.plot(
                sizes,
                [p[key] for p in chosen],
                marker=MARKERS[number],
                color=OKABE_ITO[number],
                label=series,
            )
        lines += [
            "",
            f"## {TITLES[series]}",
            "",
            "| N | time, s | us per image | peak memory, MB |",
            "|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {p['n']:,} | {p['time_s']:.2f} | {1e6 * p['time_s'] / p['n']:.0f} "
            f"| {p['peak_mb']:.0f} |"
            for p in chosen
        ]
        spent = chosen[-1]["stages_s"]
        stages = [stage for stage in spent if spent[stage] >= 0.01 * sum(spent.values())]
        if stages:
            lines += [
                "",
                "Seconds by stage (those above 1 % at the largest N):",
                "",
                "| N | " + " | ".join(stages) + " |",
                "|---:|" + "---:|" * len(stages),
            ]
            lines += [
                f"| {p['n']:,} | "
                + " | ".join(f"{p['stages_s'].get(s, 0):.2f}" for s in stages)
                + " |"
                for p in chosen
            ]
    for ax, label in zip(axes, ("time, s", "peak memory, MB"), strict=True):
        ax.set_xscale("log")
        ax.set_xticks(SERIES["score"], [f"{n:,}" for n in SERIES["score"]])
        ax.minorticks_off()
        ax.set_xlabel("N")
        ax.set_ylabel(label)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yscale("log")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(frameon=False)
    save_figure(figure, out / "growth.svg")
    write_atomically(out / "README.md", ("\n".join(lines) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("growth"))
    parser.add_argument("--series", nargs="+", choices=SERIES, default=list(SERIES))
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("SERIES", "N"))
    options = parser.parse_args()
    if options.one:
        import torch

        series, n = options.one
        machine = (
            f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
        )
        print(json.dumps(MEASURES[series](int(n)) | {"machine": machine}))
        return
    if not options.render:
        run_study(options.out, options.series)
    render(options.out)


if __name__ == "__main__":
    main()
