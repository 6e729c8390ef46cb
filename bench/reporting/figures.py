"""The pictures of one submission, and of several side by side, as far as their data is there."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.plots import (
    PlanePoint,
    contact_sheet,
    new_figure,
    pair_sheet,
    plot_class_histogram,
    plot_embedding,
    plot_fid_line,
    plot_grey_histogram,
    plot_metric_bars,
    plot_precision_recall,
    plot_roc,
)
from bench.records.score_record import ScoreRecord, ScoreValue
from bench.reporting.embedding import tsne
from bench.reporting.sources import Exhibits, Scored
from bench.reporting.theme import Picture, data_uri, picture_of, png_uri
from bench.reporting.words import class_shares
from bench.runtime.cache import Cache
from bench.tables.formats import heading
from bench.tables.numbers import number, percent

SMALL_IN = (3.7, 3.1)
SQUARE_IN = (3.7, 3.7)
COLUMNS = 12
MAX_PNG_BYTES = 60_000  # of a sheet of images


def image_pictures(exhibits: Exhibits, *, briefly: bool = False) -> list[Picture]:
    """Sheets of images: a random choice, best and worst, neighbours, copies, duplicates; `briefly`
    a row or three of each, where a page holds many submissions.
    """
    pictures = []
    if briefly:
        exhibits = {
            name: array[: COLUMNS * (3 if name == "sample_images" else 1)]
            if name.endswith(("_images", "_realism", "_distances"))
            else array
            for name, array in exhibits.items()
        }
    for name, alt, columns in (
        ("sample_images", "a random choice of the images", COLUMNS),
        ("best_images", "the images of highest realism", COLUMNS),
        ("worst_images", "the images of lowest realism", COLUMNS),
    ):
        images = exhibits.get(name)
        if images is not None and len(images):
            caption = f"{alt[0].upper()}{alt[1:]}{_range(exhibits, name)}"
            if name == "sample_images" and len(images) > columns:
                images = images[: len(images) // columns * columns]
            sheet = contact_sheet(_uint8(images), columns, full_width=True)
            pictures.append(_sheet(sheet, f"{len(images)} images: {alt}", f"{caption}."))
    pictures += _pair_pictures(exhibits)
    images, sizes = exhibits.get("duplicate_images"), exhibits.get("duplicate_sizes")
    if images is not None and sizes is not None and len(images) and len(sizes):
        caption = f"Near duplicates: of the largest group, which has {int(sizes[0])} images."
        if len(sizes) > 1:
            caption += f" The next have {', '.join(str(int(n)) for n in sizes[1:6])}."
        sheet = contact_sheet(_uint8(images), COLUMNS, full_width=True)
        pictures.append(_sheet(sheet, f"{len(images)} near duplicates of each other", caption))
    return pictures


def _range(exhibits: Exhibits, name: str) -> str:
    realism = exhibits.get(name.replace("_images", "_realism"))
    if name == "sample_images" or realism is None or not len(realism):
        return ""
    shown = realism.astype(np.float64)
    return f", realism {shown[0]:.3g} to {shown[-1]:.3g}"


def _pair_pictures(exhibits: Exhibits) -> Iterator[Picture]:
    for kind, what, unit in (
        ("neighbour", "the nearest training image of each", "in features"),
        ("copy", "the training image that it is a copy of", "grey levels (root mean square)"),
    ):
        upper, lower, distances = (
            exhibits.get(f"{kind}_{part}") for part in ("images", "training_images", "distances")
        )
        if upper is None or lower is None or not len(upper) or upper.shape != lower.shape:
            continue
        caption = f"Above an image of the folder, below {what}"
        alt = f"{len(upper)} pairs of an image and {what}"
        if distances is not None and len(distances) == len(upper):
            shown = distances.astype(np.float64)
            caption += f"; distances {shown.min():.3g} to {shown.max():.3g} {unit}"
        sheet = pair_sheet(_uint8(upper), _uint8(lower), COLUMNS, full_width=True)
        yield _sheet(sheet, alt, f"{caption}.")


def _uint8(images: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.asarray(images, np.uint8)


def _sheet(sheet: NDArray[np.uint8], alt: str, caption: str) -> Picture:
    height, width = sheet.shape[:2]
    grey = (sheet[..., 0] == sheet[..., 1]).all() and (sheet[..., 1] == sheet[..., 2]).all()
    picture = Image.fromarray(sheet)
    buffer = io.BytesIO()
    (picture.convert("LA") if grey else picture).save(buffer, format="png", optimize=True)
    uri = png_uri(buffer.getvalue())
    if len(uri) > MAX_PNG_BYTES:  # photographs: lossy, as any page shows them
        buffer = io.BytesIO()
        picture.save(buffer, format="webp", quality=80)
        uri = data_uri("image/webp", buffer.getvalue())
    return Picture(uri, alt, caption, width, height, pixels=True)


def plot_pictures(scored: Scored, cache: Cache) -> list[Picture]:
    """Every plot that the record and its exhibits have the data of."""
    record, exhibits = scored
    makers = (_classes, _grey, _plane, _fid_line, _roc)
    pictures = [picture for make in makers if (picture := make(record, exhibits)) is not None]
    return [*pictures, *_embeddings(exhibits, cache)]


def _entry(record: ScoreRecord, metric: str) -> ScoreValue | None:
    return next((e for e in record.values if e.metric == metric and e.value is not None), None)


def _classes(record: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    shares = class_shares(Scored(record, exhibits))
    if shares is None:
        return None
    figure = new_figure(*SMALL_IN)
    plot_class_histogram(shares.fake, shares.real, ax=figure.subplots())
    k = int(np.argmax(np.abs(shares.fake - shares.real)))
    alt = (
        f"Histogram of predicted classes. Largest difference: class {k} with "
        f"{percent(float(shares.fake[k]))}, real {percent(float(shares.real[k]))}."
    )
    return picture_of(figure, alt=alt, caption="Bars: this folder. Marks: real images.")


def _grey(_: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    levels, real = exhibits.get("grey_histogram"), exhibits.get("reference_grey_histogram")
    if levels is None:
        return None
    shares = levels.astype(np.float64)
    figure = new_figure(*SMALL_IN)
    plot_grey_histogram(
        shares, None if real is None else real.astype(np.float64), ax=figure.subplots()
    )
    used = int((shares > 0).sum())
    alt = f"Histogram of grey levels: {used} of {len(shares)} levels occur."
    return picture_of(figure, alt=alt, caption=f"{used} of {len(shares)} grey levels occur.")


def _plane(record: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    precision, recall = _entry(record, "precision_k3"), _entry(record, "recall_k3")
    prd = _prd(record, exhibits)
    if (precision is None or recall is None) and prd is None:
        return None
    point = perfect = None
    alt = "Plane of precision and recall."
    if precision is not None and recall is not None:
        point = PlanePoint(
            recall.value or 0.0,
            precision.value or 0.0,
            None if recall.interval is None else recall.interval.standard_error,
            None if precision.interval is None else precision.interval.standard_error,
        )
        alt += f" This folder: precision {point.precision:.3f}, recall {point.recall:.3f}."
        if precision.expected is not None and recall.expected is not None:
            perfect = PlanePoint(recall.expected, precision.expected)
            alt += f" Real images: {perfect.precision:.3f} and {perfect.recall:.3f}."
    figure = new_figure(*SQUARE_IN)
    plot_precision_recall(point, ax=figure.subplots(), perfect=perfect, prd=prd)
    known = point is not None and point.recall_error is not None
    caption = "Ellipse: 95 % region. " if known else ""
    caption += "" if prd is None else "The PRD curve is another definition of both."
    return picture_of(figure, alt=alt, caption=caption)


def _prd(
    record: ScoreRecord, exhibits: Exhibits
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    precision, recall = exhibits.get("prd_precision"), exhibits.get("prd_recall")
    if precision is not None and recall is not None:
        return precision.astype(np.float64), recall.astype(np.float64)
    for entry in record.values:
        both = [entry.details.get(f"curve_{side}") for side in ("precision", "recall")]
        if all(isinstance(side, list) for side in both):
            return np.asarray(both[0], np.float64), np.asarray(both[1], np.float64)
    return None


def _fid_line(record: ScoreRecord, _: Exhibits) -> Picture | None:
    entry = _entry(record, "fid_infinity")
    if entry is None or entry.value is None:
        return None
    sizes, values = entry.details.get("sizes"), entry.details.get("fid_at_sizes")
    slope = entry.details.get("slope")
    if not (isinstance(sizes, list) and isinstance(values, list) and isinstance(slope, float)):
        return None
    if len(sizes) != len(values) or len(sizes) < 2 or min(sizes) < 1:
        return None
    figure = new_figure(*SMALL_IN)
    plot_fid_line([int(n) for n in sizes], values, entry.value, slope, ax=figure.subplots())
    alt = (
        f"FID of subsets of {min(sizes):,} to {max(sizes):,} images; the line through them meets "
        f"infinitely many images at {number(entry.value)}."
    )
    return picture_of(
        figure, alt=alt, caption="FID falls with the number of images; the line says to what."
    )


def _roc(record: ScoreRecord, exhibits: Exhibits) -> Picture | None:
    false, true = exhibits.get("roc_false_positives"), exhibits.get("roc_true_positives")
    if false is None or true is None or false.shape != true.shape:
        return None
    entry = _entry(record, "anomaly_auc")
    area = None if entry is None else entry.value
    figure = new_figure(*SQUARE_IN)
    plot_roc(false.astype(np.float64), true.astype(np.float64), ax=figure.subplots(), auc=area)
    alt = "ROC curve of the detector of anomalies" + (
        "." if area is None else f", area {area:.3f}."
    )
    return picture_of(figure, alt=alt, caption="On the dashed line the detector cannot tell.")


def _embeddings(exhibits: Exhibits, cache: Cache) -> Iterator[Picture]:
    fake, real = exhibits.get("pca_fake"), exhibits.get("pca_real")
    if fake is None or real is None or fake.ndim != 2 or min(fake.shape[1], real.shape[1]) < 2:
        return
    alt = "{}: {} images of the folder among {} real ones."
    figure = new_figure(*SQUARE_IN)
    plot_embedding(
        fake[:, :2].astype(np.float64),
        real[:, :2].astype(np.float64),
        ax=figure.subplots(),
        title="Features, principal components",
        x="first component of real",
        y="second component",
    )
    yield picture_of(
        figure,
        alt=alt.format("Two principal components", len(fake), len(real)),
        caption="Where one colour stands alone, the folder lacks or invents something.",
    )
    placed = tsne(fake, real, cache)
    if placed is None:
        return
    figure = new_figure(*SQUARE_IN)
    plot_embedding(placed.fake, placed.real, ax=figure.subplots(), title="Features, t-SNE")
    yield picture_of(
        figure,
        alt=alt.format("t-SNE", len(placed.fake), len(placed.real)),
        caption="Only nearness means something, sizes and distances between islands do not.",
    )


def comparison_pictures(
    names: Sequence[str], records: Sequence[ScoreRecord], best: dict[str, int]
) -> list[Picture]:
    """Bars with intervals, one picture a metric; `best` by metric where one is significantly so."""
    by_metric = [{entry.metric: entry for entry in record.values} for record in records]
    pictures = []
    for metric in dict.fromkeys(name for entries in by_metric for name in entries):
        column = [entries.get(metric) for entries in by_metric]
        first = next(entry for entry in column if entry is not None)
        figure = new_figure(3.9, 1.15 + 0.24 * len(names))
        plot_metric_bars(
            names, column, ax=figure.subplots(), best=best.get(metric), title=heading(first)
        )
        said = [
            f"{name} {number(entry.value) if entry is not None else 'none'}"
            for name, entry in zip(names, column, strict=True)
        ]
        pictures.append(picture_of(figure, alt=f"{metric}: {', '.join(said)}."))
    return pictures
