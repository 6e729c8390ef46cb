"""`latentbench rank` on a large class: time, memory, and the ratio to separate runs.

    python -m tests.ranking.scale --out reports/rank

Fifty submissions of 10,000 images: digits of the package's generator, disturbed by another seed and
strength of noise for each team, as zip archives of PNG files. `rank` scores all of them and writes
the board with a page for each team. The separate runs are `latentbench score` and `latentbench
report` of one team after the other; `--separate` says of how many, and their time is scaled to the
whole class. Memory is the sum over the processes of `rank` (proportional set size). Nothing is read
from a cache. `--render` measures nothing and writes the page again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.runtime.provenance import library_versions
from bench.runtime.whole_files import write_atomically

POLL_S = 0.5
PARTS = 5  # of the run, each with its largest memory


def write_class(folder: Path, num_teams: int, num_images: int) -> None:
    """Write the submissions: generated digits with noise, an archive for each team."""
    from baselines.runs.demo import generate_digits

    digits = generate_digits(num_images, 0)[..., 0].astype(np.int16)
    for team in range(num_teams):
        random = np.random.default_rng(team)
        noise = random.integers(-256, 257, digits.shape, dtype=np.int16) * (team + 1) // 512
        images = np.clip(digits + noise * (digits > 0), 0, 255).astype(np.uint8)
        with zipfile.ZipFile(folder / f"team-{team:02d}.zip", "w") as archive:
            for number, image in enumerate(random.permutation(images)):
                stream = io.BytesIO()
                Image.fromarray(image).save(stream, "PNG", compress_level=1)
                archive.writestr(f"{number:05d}.png", stream.getvalue())


def tree_mb(root: int) -> float:
    """Proportional set size of a process and its descendants in MB."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:  # it has ended
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line[:4] == "Pss:")
        waiting += map(int, children.split())
    return total / 1024


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "bench", *map(str, words)]


def environment() -> dict[str, str]:
    """The environment of every run: this package, and threads as the libraries choose."""
    kept = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def children_s() -> float:
    """CPU time of the processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_rank(folder: Path, out: Path) -> dict[str, Any]:
    """Seconds of one `rank`, and its largest memory in each fifth of the time."""
    words = command("rank", folder, "--no-cache", "--out", out, "--executor", "local:2", "-q")
    start, used = time.monotonic(), children_s()
    samples: list[tuple[float, float]] = []
    with (out.parent / "rank.log").open("w") as log:
        running = subprocess.Popen(words, env=environment(), stdout=log, stderr=log)

        def watch() -> None:
            while running.poll() is None:
                samples.append((time.monotonic() - start, tree_mb(running.pid)))
                time.sleep(POLL_S)

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = running.wait()
        watcher.join()
    wall_s = time.monotonic() - start
    if code != 0:
        raise RuntimeError((out.parent / "rank.log").read_text())
    peaks = [
        max((mb for at, mb in samples if part <= PARTS * at / wall_s < part + 1), default=0.0)
        for part in range(PARTS)
    ]
    cpu_s = round(children_s() - used, 1)
    return {"rank_s": round(wall_s, 1), "rank_cpu_s": cpu_s, "peak_mb": [round(mb) for mb in peaks]}


def measure_separate(files: Sequence[Path], out: Path) -> dict[str, float]:
    """Seconds of `score`, and of `report`, for one team after the other."""
    found = {"score_s": 0.0, "score_cpu_s": 0.0, "report_s": 0.0, "report_cpu_s": 0.0}
    for file in files:
        for name, words in (
            ("score", command("score", file, "--no-cache", "--out", out / file.stem, "-q")),
            ("report", command("report", out / file.stem, "--out", out / f"{file.stem}.html")),
        ):
            start, used = time.monotonic(), children_s()
            subprocess.run(words, env=environment(), check=True, capture_output=True, cwd=out)
            found[f"{name}_s"] += time.monotonic() - start
            found[f"{name}_cpu_s"] += children_s() - used
    return {name: round(seconds, 1) for name, seconds in found.items()}


def page(row: dict[str, Any]) -> str:
    """The measured row as a page."""
    scale = row["num_teams"] / row["num_separate"]
    scaled = f", of {row['num_separate']} teams and scaled" if scale > 1 else ""
    rank_cpu = row["rank_cpu_s"]
    table = []
    for label, parts in (
        ("`score` and `report`", ("score", "report")),
        ("`score` alone", ("score",)),
    ):
        wall = scale * sum(row[f"{part}_s"] for part in parts)
        cpu = scale * sum(row[f"{part}_cpu_s"] for part in parts)
        table.append(
            f"| {label}, one team after the other{scaled} | {wall:,.0f} | "
            f"{wall / row['rank_s']:.2f} | {cpu:,.0f} | {cpu / rank_cpu:.2f} |"
        )
    lines = "\n".join(table)
    peaks = " | ".join(f"{mb:,}" for mb in row["peak_mb"])
    return f"""# Ranking a large class

Made by `python -m tests.ranking.scale --out reports/rank` on {row["machine"]}, {row["processors"]}
processors, torch {row["torch"]}; one run on a machine that {row["load"]}.
{row["num_teams"]} submissions of {row["num_images"]:,} images, all metrics, two processes, a page
for each team. CPU time hardly depends on what else the machine does.

| | time, s | ratio to `rank` | CPU time, s | ratio |
|---|---:|---:|---:|---:|
| `rank` | {row["rank_s"]:,.0f} | 1.0 | {rank_cpu:,.0f} | 1.0 |
{lines}

Largest memory of all processes of `rank` in each fifth of the time, MB:

| first | second | third | fourth | last |
|---:|---:|---:|---:|---:|
| {peaks} |
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/rank"))
    parser.add_argument("--num-teams", type=int, default=50)
    parser.add_argument("--num-images", "-n", type=int, default=10_000)
    parser.add_argument("--separate", type=int, help="teams of the separate runs; default: all")
    parser.add_argument("--load", default="did nothing else", help="what else the machine did")
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args(arguments)
    file = given.out / "scale.json"
    if not given.render:
        root = Path(tempfile.mkdtemp())
        folder, results = root / "class", root / "results"
        folder.mkdir()
        results.mkdir()
        write_class(folder, given.num_teams, given.num_images)
        files = sorted(folder.iterdir())
        separate = files[:: max(1, len(files) // (given.separate or len(files)))]
        row = {
            "num_teams": given.num_teams,
            "num_images": given.num_images,
            **measure_rank(folder, results / "board"),
            "num_separate": len(separate),
            **measure_separate(separate, results),
            "machine": platform.machine(),
            "processors": os.cpu_count(),
            "torch": library_versions()["torch"],
            "load": given.load,
        }
        shutil.rmtree(root)
        write_atomically(file, (json.dumps(row, indent=1) + "\n").encode())
    text = page(json.loads(file.read_text()))
    write_atomically(given.out / "README.md", text.encode())
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
