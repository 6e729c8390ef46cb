"""Write bench/tables/scale.json, the scores of our own baselines that a verdict compares with.

    python -m tests.scale_of_models

The figures are means over the runs in the published records under reports/baselines*. Of each model
the longest training counts; what was shortened or narrowed is said in its name.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SCALE = ROOT / "bench" / "tables" / "scale.json"
SOURCES = ("baselines-full", "baselines-narrowed", "baselines")
MODELS = {
    "ae-linear": ("a linear autoencoder", "prior-gaussian"),
    "ae-dense": ("an autoencoder", "prior-gaussian"),
    "vae": ("a VAE", "plain"),
    "course-gan": ("the course's GAN", "plain"),
    "course-gan-tricks": ("the course's GAN with tricks", "plain"),
    "wgan-gp": ("WGAN-GP", "plain"),
    "dcgan": ("DCGAN", "plain"),
    "dcgan-tricks": ("DCGAN with tricks", "plain"),
}


class Training(NamedTuple):
    """How a group of runs was trained, and against what it was scored."""

    protocol: str
    recipe: str
    share: float
    narrowing: str


def name_of(training: Training) -> str:
    """Return the model's name, with what was shortened or narrowed."""
    name = MODELS[training.recipe][0]
    width = re.search(r"widths / (\d+)", training.narrowing)
    if width:
        name += f" at 1/{width[1]} of its width"
    if training.share < 1:
        name += f" after {training.share:.0%} of its steps"
    return name.replace("%", " %")


def scale() -> list[dict[str, Any]]:
    """Return a row for each model and protocol, worst FID first."""
    runs: dict[Training, dict[int, dict[str, Any]]] = defaultdict(dict)
    for source in SOURCES:
        for line in (ROOT / "reports" / source / "records.jsonl").read_text().splitlines():
            row = json.loads(line)
            model = MODELS.get(row["recipe"])
            if model is None or row["sampling"] != model[1] or row["values"].get("fid") is None:
                continue
            parts = dict(part.split("=") for part in row["signature"].split("|") if "=" in part)
            protocol = f"{parts['reference']}|{parts['extractor']}"
            training = Training(protocol, row["recipe"], row["share"], row["narrowing"])
            runs[training].setdefault(row["seed"], {**row, "source": f"reports/{source}"})
    longest: dict[tuple[str, str], Training] = {}
    for training in runs:
        key = (training.protocol, training.recipe)
        if key not in longest or training.share > longest[key].share:
            longest[key] = training
    rows = []
    for training in longest.values():
        found = list(runs[training].values())
        rows.append(
            {
                "protocol": training.protocol,
                "name": name_of(training),
                "fid": round(sum(row["values"]["fid"] for row in found) / len(found), 2),
                "runs": len(found),
                "images": found[0]["num_images"],
                "perfect": round(found[0]["perfect"]["fid"], 4),
                "source": found[0]["source"],
            }
        )
    return sorted(rows, key=lambda row: (row["protocol"], -row["fid"]))


def text() -> str:
    """Return the content of the file."""
    return json.dumps(scale(), indent=1) + "\n"


if __name__ == "__main__":
    SCALE.write_text(text())
    sys.stdout.write(f"written: {SCALE.relative_to(ROOT)}\n")
