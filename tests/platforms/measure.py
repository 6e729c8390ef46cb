"""Time and memory of the bundles of Codabench and Gradescope on 10,000 images.

    python -m tests.platforms.measure --out reports/platforms

The images are digits of the package's generator (seed 0). Each bundle runs as its platform runs it
(see `trees.py`), in control groups with the processor share and the memory that the platform gives,
and without a network. Linux as root, with control groups of version 1. CPU time does not depend on
what else the machine does; the time to wait does. `--render` measures nothing and writes the page
again, with the size of an image as the installed packages have it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.platforms.platforms import make_bundle
from bench.platforms.wheel import archive, wheel
from bench.runtime.provenance import library_versions
from bench.runtime.whole_files import write_atomically
from tests.platforms.trees import codabench_tree, gradescope_tree, offline

GROUPS = Path("/sys/fs/cgroup")
NUM_IMAGES = 10_000
LIMIT_S = 600
PERIOD_US = 100_000
POLL_S = 0.1
MB = 1 << 20
BASE_MB = 130  # python:3.12-slim, unpacked
CUDA = re.compile(r"cuda|nvidia|triton|nvshmem|nvrtc|cudnn|cupti|nccl")
# processors, MB of memory; Codabench names no limit, so it gets what a small worker has
LIMITS = {"gradescope": (0.5, 768), "codabench": (1.0, 2048)}


class Group:
    """A control group with a share of the processors and a limit of memory, removed at the end."""

    def __init__(self, processors: float, memory_mb: int) -> None:
        name = f"latentbench-{os.getpid()}-{time.monotonic_ns()}"
        self.cpu, self.memory, self.used = (
            GROUPS / kind / name for kind in ("cpu", "memory", "cpuacct")
        )
        for folder in {self.cpu, self.memory, self.used}:
            folder.mkdir()
        (self.cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (self.cpu / "cpu.cfs_quota_us").write_text(str(int(PERIOD_US * processors)))
        (self.memory / "memory.limit_in_bytes").write_text(str(memory_mb * MB))

    def enter(self) -> None:
        """Put this process into the group."""
        for folder in (self.cpu, self.memory, self.used):
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def resident_mb(self) -> float:
        lines = (self.memory / "memory.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["total_rss"]) / MB

    def cpu_s(self) -> float:
        return int((self.used / "cpuacct.usage").read_text()) / 1e9

    def remove(self) -> None:
        for folder in (self.cpu, self.memory, self.used):
            folder.rmdir()


def measured(command: Sequence[str], name: str, cwd: Path, out: Path) -> dict[str, object]:
    """Run a command in the limits of a platform; `out` must be there afterwards."""
    group = Group(*LIMITS[name])
    peak, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(POLL_S):
            peak = max(peak, group.resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic()
    try:
        done = subprocess.run(
            ["unshare", "--net", *command],  # noqa: S607
            cwd=cwd,
            env=offline(AUTOGRADER_ROOT=str(cwd), HOME=str(cwd)),
            preexec_fn=group.enter,
            check=False,
            timeout=10 * LIMIT_S,
        )
    finally:
        over.set()
        watcher.join()
    wall_s = time.monotonic() - start
    cpu_s = group.cpu_s()
    group.remove()
    processors, memory_mb = LIMITS[name]
    return {
        "platform": name,
        "num_images": NUM_IMAGES,
        "processors": processors,
        "memory_limit_mb": memory_mb,
        "exit_code": done.returncode,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "least_wall_s": round(cpu_s / processors, 1),  # on a machine that does nothing else
        "peak_resident_mb": round(peak, 1),
        "result": json.loads(out.read_text()),
    }


def submission(file: Path) -> Path:
    """A zip of the generator's digits."""
    from baselines.runs.demo import generate_digits
    from tests.conftest import write_pngs

    with tempfile.TemporaryDirectory() as folder:
        made = write_pngs(generate_digits(NUM_IMAGES, 0), Path(folder) / "samples")
        file.write_bytes(
            archive({f"samples/{path.name}": path.read_bytes() for path in sorted(made.iterdir())})
        )
    return file


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/platforms"))
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args(arguments)
    if not given.render:
        lines = "".join(json.dumps(row) + "\n" for row in rows_of_all())
        write_atomically(given.out / "rows.jsonl", lines.encode())
    text = page(read(given.out / "rows.jsonl"))
    write_atomically(given.out / "README.md", text.encode())
    sys.stdout.write(text)


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def rows_of_all() -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        digits = submission(root / "digits.zip")
        for name in LIMITS:
            make_bundle(name, root / f"bundle-{name}", spec="mnist-10k")
        tree = gradescope_tree(root / "bundle-gradescope", root / "autograder", digits)
        results = tree / "results" / "results.json"
        rows.append(measured([str(tree / "run_autograder")], "gradescope", tree, results))
        tree = codabench_tree(root / "bundle-codabench", root / "app", digits)
        command = [sys.executable, "score.py", str(tree / "input"), str(tree / "output")]
        scores = tree / "output" / "scores.json"
        rows.append(measured(command, "codabench", tree / "program", scores))
    about = {"machine": platform.machine(), "torch": library_versions()["torch"]}
    return [{**row, **about} for row in (*rows, image_size())]


def image_size() -> dict[str, Any]:
    """Sizes on disk of the installed packages that an image holds, without the CUDA libraries."""
    sizes: dict[str, float] = {}
    waiting = ["latentbench", "torch", "torchvision"]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in sizes or CUDA.search(name):
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another system
            continue
        paths = [Path(str(found.locate_file(file))) for file in found.files or ()]
        sizes[name] = sum(
            path.stat().st_size for path in paths if path.is_file() and not CUDA.search(path.name)
        )
        waiting += [
            re.match(r"[\w.-]+", line).group()  # type: ignore[union-attr]
            for line in found.requires or ()
            if "extra ==" not in line
        ]
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:6]
    return {
        "platform": "image",
        "packages_mb": round(sum(sizes.values()) / 1e6),
        "largest_mb": {name: round(sizes[name] / 1e6) for name in largest},
        "wheel_mb": round(len(wheel()[1]) / 1e6),
        "base_mb": BASE_MB,
    }


def page(rows: list[dict[str, Any]]) -> str:
    """The measured rows as a page."""
    measured_rows = [row for row in rows if row["platform"] != "image"]
    (image,) = (row for row in rows if row["platform"] == "image")
    total = image["packages_mb"] + 2 * image["wheel_mb"] + image["base_mb"]
    lines = [
        "# Bundles for platforms",
        "",
        "Made by `python -m tests.platforms.measure --out reports/platforms` on "
        f"{image['machine']}, torch {image['torch']}; one run each, so read the size, not the "
        f"third digit. {NUM_IMAGES:,} digits of the package's generator, FID, precision and "
        "recall, no network, control groups with the limits of the platform.",
        "",
        "| platform | processors | memory limit, MB | time, s | CPU time, s | peak memory, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['platform']} | {row['processors']} | {row['memory_limit_mb']} | "
        f"{row['wall_s']:.0f} | {row['cpu_s']:.0f} | {row['peak_resident_mb']:.0f} |"
        for row in measured_rows
    ]
    names = ", ".join(f"{name} {size}" for name, size in image["largest_mb"].items())
    return "\n".join(
        [
            *lines,
            "",
            "Codabench names no limit of processors or memory; it got one processor and 2 GB.",
            "",
            "## Size of an image",
            "",
            f"About {total / 1000:.1f} GB on disk. This is a sum and not a measurement: no image "
            f"was built. The installed packages that scoring needs have {image['packages_mb']:,} "
            f"MB without the CUDA libraries ({names}), the base image python:3.12-slim has about "
            f"{image['base_mb']} MB, and the package's own wheel is in it twice, packed and "
            "installed. `libtorch_cpu` of a CUDA build stands for that of the CPU build.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
