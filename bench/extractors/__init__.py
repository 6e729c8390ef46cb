"""The table of extractors. Rows are light; a network is loaded when its row is asked to."""

from __future__ import annotations

from bench.errors import UnknownNameError, UsageError
from bench.extractors import custom
from bench.extractors.base import (
    ComputedWeights,
    ExtractorChoice,
    ExtractorRow,
    PackagedWeights,
    ResolvedExtractor,
)
from bench.extractors.fidelity_rows import FIDELITY_ROWS
from bench.extractors.weights_files import HostedWeights
from bench.runtime.progress import Progress

_ROWS = (
    ExtractorRow(
        name="digits",
        title="compact CNN classifier of MNIST digits, penultimate features",
        loader="bench.extractors.compact_cnn:load",
        weights=PackagedWeights(
            "digits.safetensors",
            "2376dd92bf7cfed22a953f80c5c27e37e0e21c36ce6aee5ee96115d036168da8",
        ),
        feature_dim=128,
        num_classes=10,
        side_px=28,
        channels=1,
        citation="trained by baselines.tools.train_extractor on the MNIST train split",
        learnt="MNIST labels",
        labels_of="mnist",
    ),
    ExtractorRow(
        name="fashion",
        title="compact CNN classifier of Fashion-MNIST, penultimate features",
        loader="bench.extractors.compact_cnn:load",
        weights=PackagedWeights(
            "fashion.safetensors",
            "9b6c729a680ca3046a25cd850ca5d9cc102840e5a7f87636ed29317f8f20812a",
        ),
        feature_dim=128,
        num_classes=10,
        side_px=28,
        channels=1,
        citation="trained by baselines.tools.train_extractor on the Fashion-MNIST train split",
        learnt="Fashion-MNIST labels",
        labels_of="fashion-mnist",
    ),
    ExtractorRow(
        name="inception",
        title="InceptionV3 with the 2015 TensorFlow weights (inception-v3-compat), pool3",
        loader="bench.extractors.inception:load",
        weights=HostedWeights(
            url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
            file_name="weights-inception-2015-12-05-6726825d.pth",
            sha256="6726825d",
        ),
        feature_dim=2048,
        num_classes=1008,
        channels=3,
        layers=("2048", "768", "192", "64", "logits"),
        protocols=("torch-fidelity", "clean-fid", "pytorch-fid", "torchmetrics"),
        precisions=("exact", "tf32x3", "tf32", "fp16"),
        precision_shifts={
            "tf32x3": "less than 1e-5",
            "tf32": "about 1e-3, up to 1e-2 for small ones,",
            "fp16": "about 1e-3, up to 1e-2 for small ones,",
        },
        compiles=True,
        citation="Szegedy et al. 2016, arXiv:1512.00567; weights by torch-fidelity v0.2.0",
        learnt="ImageNet labels",
    ),
    *FIDELITY_ROWS,
    ExtractorRow(
        name="pixels",
        title="raw pixels of images up to 64 px, grey as three channels",
        loader="bench.extractors.raw_pixels:load",
        weights=ComputedWeights("5068662334d1d6e7059edd74e4091b73494597604cd4e9ad50a3b0251c38556b"),
        feature_dim=None,
        num_classes=None,
        channels=3,
        citation="none: a baseline",
    ),
    ExtractorRow(
        name="hog",
        title="histograms of oriented gradients, 7 cells along the shorter side; no network",
        loader="bench.extractors.hog:load",
        weights=ComputedWeights("2eef721640c92a206d12fa7ba61056c72d41292518a6b5604303ad0ea2e5f5a2"),
        feature_dim=None,
        num_classes=None,
        channels=3,
        citation="Dalal & Triggs 2005, CVPR",
    ),
    ExtractorRow(
        name="random-conv",
        title="fixed random convolutions, means and deviations of five depths; no download",
        loader="bench.extractors.random_conv:load",
        weights=ComputedWeights("ccf245935bd3108f5ed3f8edb7a0efde515116286ffee5ae186e8b34b5170d57"),
        feature_dim=544,
        num_classes=None,
        channels=3,
        citation="after Naeem et al. 2020, arXiv:2002.09797",
    ),
)

ALL_PROTOCOLS = "all"
FORMS = {  # names that stand for whole families
    "torchvision:NAME": "a torchvision classification backbone, such as torchvision:resnet50",
    custom.FORM: "a class of your own",
}

EXTRACTORS: dict[str, ExtractorRow] = {row.name: row for row in _ROWS}
if len(EXTRACTORS) != len(_ROWS):
    raise ValueError("two extractors of one name")


def extractor_row(name: str) -> ExtractorRow:
    """The row of that name, of `torchvision:NAME` or of a user's `package.module:Class`.

    Raises `UnknownNameError` listing the valid names and forms, and `UsageError` when the module
    or network after the colon cannot be used.
    """
    if name in EXTRACTORS:
        return EXTRACTORS[name]
    if name.startswith("torchvision:"):
        from bench.extractors import torchvision_nets  # noqa: PLC0415  (loads torch)

        return torchvision_nets.row_of(name)
    if ":" in name:
        return custom.row_of(name)
    raise UnknownNameError("extractor", name, [*EXTRACTORS, *FORMS])


def resolve_extractors(
    name: str,
    choice: ExtractorChoice,
    *,
    download: Progress | None = None,
) -> list[ResolvedExtractor]:
    """The extractor of that name, or one for each of its protocols when that is `all`."""
    row = extractor_row(name)
    if choice.protocol != ALL_PROTOCOLS:
        return [row.resolve(choice, download=download)]
    if not row.protocols:
        raise UsageError(f"extractor {name!r} has no choice of protocol; leave it out")
    return [
        row.resolve(_with_protocol(choice, protocol), download=download)
        for protocol in row.protocols
    ]


def _with_protocol(choice: ExtractorChoice, protocol: str) -> ExtractorChoice:
    return ExtractorChoice(**{**vars(choice), "protocol": protocol})
