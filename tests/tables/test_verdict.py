"""The verdict: against the committed scale, and the scale against the published records."""

from __future__ import annotations

import json

import pytest

from bench.records.score_record import Identity, ScoreRecord
from bench.tables.verdict import verdict
from tests import scale_of_models
from tests.ranking.test_places import entry
from tests.records.test_score_record import record


def placed(
    fid: float | None, *, images: int = 10_000, reference: str = "", resize: str | None = None
) -> ScoreRecord:
    """A record of the bundled MNIST protocol with this FID."""
    made = record()
    (row, *_) = [row for row in scale_of_models.scale() if row["protocol"].startswith("mnist:")]
    parts = [part.split(":") for part in row["protocol"].split("|")]
    names = [Identity(name=name, digest=f"{digest:0<64}") for name, digest in parts]
    extractor = made.extractor.model_copy(
        update={"name": names[1].name, "digest": names[1].digest, "settings": {}}
    )
    submission = made.submission.model_copy(update={"num_images": images, "resize": resize})
    return made.model_copy(
        update={
            "reference": names[0].model_copy(update={"name": reference or names[0].name}),
            "extractor": extractor,
            "submission": submission,
            "values": (entry("fid", fid, None, "lower"),),
        }
    )


def test_the_scale_is_that_of_the_published_records() -> None:
    assert scale_of_models.SCALE.read_text() == scale_of_models.text()
    rows = json.loads(scale_of_models.text())
    dcgan = next(row for row in rows if row["name"] == "DCGAN at 1/4 of its width")
    assert (dcgan["fid"], dcgan["runs"]) == (19.32, 3)  # reports/baselines-narrowed/README.md: 19.3


def test_between_two_models() -> None:
    found = verdict(placed(57.0))
    assert found is not None
    assert found.text == (
        "FID 57: between WGAN-GP at 1/2 of its width after 5 % of its steps (57.4) and the "
        "course's GAN with tricks at 1/2 of its width after 9 % of its steps (49.9); DCGAN with "
        "tricks at 1/4 of its width (11.4) is the best; real images have 0.25."
    )
    places = {name: place for name, _, place in found.places()}
    assert places["real images"] == 0
    assert places["a linear autoencoder after 10 % of its steps"] == 1
    assert places["DCGAN at 1/4 of its width"] < places[""]


def test_at_the_ends() -> None:
    best, worst = verdict(placed(1.5)), verdict(placed(900.0))
    assert best is not None
    assert worst is not None
    assert best.text == (
        "FID 1.5: better than all reference models; DCGAN with tricks at 1/4 of its width (11.4) "
        "comes closest; real images have 0.25."
    )
    assert worst.text.startswith("FID 900: worse than all reference models; a linear autoencoder")
    assert max(worst.places(), key=lambda row: row[2])[0] == ""


@pytest.mark.parametrize(
    "silent",
    [
        placed(None),
        placed(0.0),
        placed(10.0, images=1000),
        placed(10.0, images=50_000),
        placed(10.0, reference="other"),
        placed(10.0, resize="28x28"),
    ],
    ids=["no value", "zero", "few images", "many images", "other reference", "resized"],
)
def test_it_says_nothing_where_nothing_is_comparable(silent: ScoreRecord) -> None:
    assert verdict(silent) is None
