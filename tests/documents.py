"""Put figures and real output into the documents, from committed files and the package's tables.

    python -m tests.documents           fill README.md and the other documents again
    python -m tests.documents --record  run the commands whose output the documents show, then fill

A document marks a block and a value in a sentence with comments that no reader sees:

    <!-- block: demo -->
    ...
    <!-- end -->

    an FID of <!-- value: demo.fid -->1.348<!-- end -->

`tests/test_documents.py` fails when a document differs from what this program would write.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
OUTPUTS = REPORTS / "outputs"
DOCUMENTS = (
    "README.md",
    "bench/README.md",
    "baselines/README.md",
    "tests/README.md",
    "reports/README.md",
)
BLOCK = re.compile(r"(<!-- block: ([\w.-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
VALUE = re.compile(r"(<!-- value: ([\w.-]+) -->)(.*?)(<!-- end -->)")
WIDTH = "110"  # columns of the terminal that the output is recorded in


def filled(text: str) -> str:
    """Return a document with every block and value written again. Raises `KeyError` for a name that
    is in no table of this file.
    """
    text = BLOCK.sub(lambda m: f"{m[1]}{BLOCKS[m[2]]().rstrip()}\n{m[4]}", text)
    return VALUE.sub(lambda m: f"{m[1]}{_value(m[2])}{m[4]}", text)


def _value(name: str) -> str:
    group, _, key = name.partition(".")
    values = VALUES[group]()
    if key not in values:
        raise KeyError(f"{name}: {group} has no value of that name; it has {', '.join(values)}")
    return values[key]


# what the commands print


def _record(path: Path) -> Mapping[str, Mapping[str, float]]:
    """The values of a record by metric."""
    return {entry["metric"]: entry for entry in json.loads(path.read_text())["values"]}


@cache
def _demo_values() -> dict[str, str]:
    values = _record(OUTPUTS / "demo.json")
    found = {name: f"{entry['value']:.4g}" for name, entry in values.items()}
    found |= {
        f"{name}-perfect": f"{entry['expected']:.4g}"
        for name, entry in values.items()
        if entry["expected"] is not None
    }
    return found


def _scaling() -> dict[str, str]:
    """Shares of wrong scales that were named, and of wrong alarms, in percent."""
    from bench.studies.scaling import EARLY, figures
    from bench.studies.study_folder import read_rows

    rows = [row for row in read_rows(REPORTS / "scaling") if not row["samples"].startswith(EARLY)]
    return {name: f"{100 * value:.1f}" for name, value in figures(rows).items()}


def _output(name: str) -> str:
    """A recorded command with its output, indented as a Markdown code block."""
    lines = (OUTPUTS / f"{name}.txt").read_text().splitlines()
    return "\n" + "\n".join(f"    {line}".rstrip() for line in lines) + "\n\n"


def _run(arguments: list[str], folder: Path) -> str:
    """The output of `latentbench ARGUMENTS`, with the command line before it."""
    environment = os.environ | {"COLUMNS": WIDTH, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode > 1:
        raise RuntimeError(f"latentbench {' '.join(arguments)}: {done.stderr}")
    return f"$ latentbench {' '.join(arguments)}\n{done.stdout.rstrip()}\n"


def _threes(folder: Path) -> None:
    """Threes to learn from, and a labelled test folder, of the committed MNIST test images."""
    from tests.conftest import write_pngs

    with np.load(ROOT / "tests/data/mnist-test-2000.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    threes, others = images[labels == 3], images[labels != 3]
    write_pngs(threes[:150], folder / "threes")
    write_pngs(threes[150:], folder / "test" / "normal")
    write_pngs(others[:300], folder / "test" / "anomalous")


def _blended(folder: Path) -> None:
    """Two draws of 1,000 digits; in the second, each pixel row has a tenth of the next."""
    from baselines.runs.demo import generate_digits
    from tests.conftest import write_pngs

    for name, seed in (("baseline", 1), ("new", 2)):
        images = generate_digits(1_000, seed)
        if name == "new":
            below = np.roll(images, 1, axis=1)
            images = (0.9 * images + 0.1 * below).round().astype(np.uint8)
        write_pngs(images, folder / name / "samples")
        _run(["score", "samples", "--out", ".", "--quiet", "--no-cache"], folder / name)


def record() -> None:
    """Run the commands whose output the documents show."""
    OUTPUTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (OUTPUTS / "demo.txt").write_text(_run(["demo", "--no-cache"], folder))
        (scored,) = (folder / "latentbench-demo").glob("*.json")
        (OUTPUTS / "demo.json").write_text(scored.read_text())
        _threes(folder)
        arguments = "anomaly --train threes/ --test test/ --detectors knn-hog,pca,knn-pixels"
        (OUTPUTS / "anomaly.txt").write_text(_run(arguments.split(), folder))
        _blended(folder)
        arguments = (
            "compare baseline/records.jsonl new/records.jsonl --tolerance 2% "
            "--metrics fid,kid_poly3,precision_k3,recall_k3,authenticity"
        )
        (OUTPUTS / "compare.txt").write_text(_run(arguments.split(), folder))


# tables of the package


def _metrics_table() -> str:
    from bench.metrics import METRICS

    lines = ["| metric | what it measures | better | paper |", "|---|---|---|---|"]
    for row in METRICS.values():
        better = {"lower": "lower", "higher": "higher", "target": "near the perfect value"}
        lines.append(f"| `{row.name}` | {row.meaning} | {better[row.direction]} | {row.citation} |")
    return "\n".join(lines)


def _example_plan() -> str:
    from baselines.ablation.design.plan import example_plan

    return f"```toml\n{example_plan().rstrip()}\n```"


# published results


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (REPORTS / name).read_text().splitlines()]


def _log() -> str:
    lines = []
    for row in sorted(_rows("log.jsonl"), key=lambda row: row["date"], reverse=True):
        lines += [f"- **{row['title']}** ({row['date']}; {row['source']}). {row['text']}"]
    return "\n".join(lines)


def _speed() -> str:
    lines: list[str] = []
    machine = ""
    for row in _rows("speed/rows.jsonl"):
        found = f"{row['machine']}, {row['threads']} threads, torch {row['torch']}, {row['date']}"
        if found != machine:
            machine = found
            lines += ["", f"{machine}; medians of {row['rounds']} rounds:", ""]
            lines += ["| job | Latentbench | peer | | ratio |", "|---|---:|---|---:|---:|"]
        cells = [row["job"], f"{row['ours']:,.4g} {row['unit']}", row.get("peer", ""), "", ""]
        if "ratio" in row:
            cells[3] = f"{row['theirs']:,.4g} {row['unit']}"
            cells[4] = f"{row['ratio']:.2f}"
            if "ratio_low" in row:
                cells[4] += f" ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines[1:])


def _mean_fids(study: str) -> dict[str, str]:
    """Mean FID over the seeds of plain samples, by data set and recipe."""
    found: dict[str, list[float]] = {}
    for row in _rows(f"{study}/records.jsonl"):
        if row["sampling"] == "plain" and "fid" in row["values"]:
            found.setdefault(f"{row['data']}.{row['recipe']}", []).append(row["values"]["fid"])
    return {name: f"{np.mean(values):.1f}" for name, values in found.items()}


def _coverage() -> dict[str, str]:
    """Lowest and highest share of intervals that hold the truth. `modes_covered` is a whole number,
    whose interval cannot hold it in 95 %.
    """
    rows = [row for row in _rows("uncertainty/records.jsonl") if row["metric"] != "modes_covered"]
    shares = [100 * row["covered"] for row in rows if row.get("covered") is not None]
    return {"lowest": f"{min(shares):.1f}", "highest": f"{max(shares):.1f}"}


def _platforms() -> dict[str, str]:
    """Seconds and MB of a bundle on its platform, and GB of an image."""
    from bench.platforms.bundle import IMAGE_GB

    rows = {row["platform"]: row for row in _rows("platforms/rows.jsonl")}
    found = {"image-gb": f"{IMAGE_GB:.1f}"}
    for name in ("codabench", "gradescope"):
        found[f"{name}-s"] = f"{rows[name]['wall_s']:.0f}"
        found[f"{name}-mb"] = f"{rows[name]['peak_resident_mb']:.0f}"
    return found


def _rank() -> dict[str, str]:
    """Minutes of ranking a large class, and how many times as long separate runs take."""
    row = json.loads((REPORTS / "rank/scale.json").read_text())
    scale = row["num_teams"] / row["num_separate"]
    return {
        "minutes": f"{row['rank_s'] / 60:.0f}",
        "ratio": f"{scale * row['score_s'] / row['rank_s']:.2f}",
        "cpu-ratio": f"{scale * row['score_cpu_s'] / row['rank_cpu_s']:.2f}",
        "mb": f"{max(row['peak_mb']):,}",
    }


def _mean_aucs() -> dict[str, str]:
    """Mean AUC in percent of every detector, from the tables of the page of the benchmark."""
    found, data = {}, ""
    for line in (REPORTS / "anomaly/README.md").read_text().splitlines():
        if line.startswith("## "):
            data = line[3:]
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[1].startswith("`") and "[" in cells[2]:
            found.setdefault(f"{data}.{cells[1].strip('`')}", cells[2])
    return found


BLOCKS: dict[str, Callable[[], str]] = {
    "demo": lambda: _output("demo"),
    "anomaly": lambda: _output("anomaly"),
    "compare": lambda: _output("compare"),
    "metrics": _metrics_table,
    "example-plan": _example_plan,
    "log": _log,
    "speed": _speed,
}
VALUES: dict[str, Callable[[], Mapping[str, str]]] = {
    "demo": _demo_values,
    "baselines": lambda: _mean_fids("baselines"),
    "baselines-narrowed": lambda: _mean_fids("baselines-narrowed"),
    "uncertainty": _coverage,
    "anomaly": _mean_aucs,
    "scaling": _scaling,
    "platforms": _platforms,
    "rank": _rank,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    if parser.parse_args().record:
        record()
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(filled(path.read_text()))


if __name__ == "__main__":
    main()
