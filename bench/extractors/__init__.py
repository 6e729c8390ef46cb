"""The table of extractors: networks, and other computations, from images to features.

An extractor is one file with a loader, and one row here; the network is loaded when it is first
used. Another package adds an extractor with a module like this one, `profiles.py`:

    import hashlib

    import numpy as np

    from bench.extractors.base import ComputedWeights, ExtractorRow
    from bench.statistics.moments import Features

    PROFILES = ExtractorRow(
        name="profiles",
        title="mean grey level of every row and column",
        loader="profiles:Profiles",
        weights=ComputedWeights(hashlib.sha256(b"profiles, version 1").hexdigest()),
        feature_dim=None,  # depends on the size of the images
        num_classes=None,
        channels=3,
        citation="an example",
    )


    class Profiles:
        batch_size = 256  # images

        def __init__(self, resolved, device):
            self.name, self.digest, self.device = resolved.name, resolved.digest, device

        def __call__(self, images, *, progress=None):  # uint8 N,H,W,C
            rows, columns = (images.mean(axis=(axis, 3), dtype="float32") for axis in (2, 1))
            return Features(np.concatenate([rows, columns], axis=1))

and an entry point in its pyproject.toml:

    [project.entry-points."latentbench.extractors"]
    profiles = "profiles:PROFILES"

Once the package is installed, `latentbench score samples/ --reference real/ --extractor profiles`
uses it. A module with a row should import no torch; a loader that needs it belongs in another.
"""

from __future__ import annotations

from dataclasses import replace

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
from bench.runtime.outside_class import FORM
from bench.runtime.progress import Progress
from bench.runtime.registry import Registry

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
FORMS = {  # names of whole families
    "torchvision:NAME": "a torchvision classification backbone, such as torchvision:resnet50",
    FORM: "a class of your own",
}

EXTRACTORS = Registry("extractor", "latentbench.extractors", ExtractorRow, _ROWS)


def extractor_row(name: str) -> ExtractorRow:
    """Return the row of that name, of `torchvision:NAME` or of a user's `package.module:Class`.

    Raises `UnknownNameError`, which lists the valid names and forms, `UsageError` when the module
    or network after the colon cannot be used, and `LatentbenchError` for a row of a broken package.

    >>> extractor_row("digits").feature_dim
    128
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
    """Return the extractor of that name; with the protocol "all", one for each of its protocols.

    Raises as `extractor_row` and `ExtractorRow.resolve` do, and `UsageError` for "all" without a
    choice of protocols.
    """
    row = extractor_row(name)
    if choice.protocol != ALL_PROTOCOLS:
        return [row.resolve(choice, download=download)]
    if not row.protocols:
        raise UsageError(f"extractor {name!r} has no choice of protocol; leave it out")
    return [
        row.resolve(replace(choice, protocol=protocol), download=download)
        for protocol in row.protocols
    ]
