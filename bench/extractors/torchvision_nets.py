"""`torchvision:NAME`: any classification network of torchvision, with its default weights.

Images are prepared by the `transforms()` of those weights (resize with antialias, centre crop,
mean and standard deviation), in batches on the device. Features are the input of the last linear
layer that a forward runs (the penultimate layer); logits are its output. The layer is found by
running the network once without values, on torch's meta device, so that a network without such a
layer is refused before anything is downloaded.

Shape legend: N images, C channels, H W pixels, D features, K classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bench.errors import UnknownNameError, UsageError
from bench.extractors.base import ExtractorRow, ResolvedExtractor
from bench.extractors.network import NetworkExtractor
from bench.extractors.weights_files import DIGEST, HostedWeights, load_state
from bench.extractors.weights_reading import load_strictly

PREFIX = "torchvision:"
BATCH_SIZE = {"cpu": 16, "cuda": 128}
# Options that torchvision's own builders set when they load published weights.
AUXILIARY: dict[str, dict[str, object]] = {
    "googlenet": {"transform_input": True, "aux_logits": True, "init_weights": False},
    "inception_v3": {"transform_input": True, "aux_logits": True, "init_weights": False},
}
# Published DenseNet weights have the names of torchvision 0.1 (`norm.1` for `norm1`).
DENSENET_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


class Head(NamedTuple):
    """The last linear layer that a forward runs: its dotted name, its inputs D, its outputs K."""

    name: str
    feature_dim: int
    num_classes: int


def names() -> list[str]:
    """Return the name of every classification network of the installed torchvision."""
    return [str(name) for name in torchvision.models.list_models(module=torchvision.models)]


def row_of(name: str) -> ExtractorRow:
    """Return the row of `torchvision:NAME`.

    Raises `UnknownNameError` for a name that torchvision does not have, `UsageError` for a
    network without a linear last layer.
    """
    model = name.removeprefix(PREFIX)
    if model not in names():
        raise UnknownNameError("torchvision classification network", model, names())
    weights = default_weights(model)
    head = head_of(model)
    file_name = weights.url.rsplit("/", 1)[1]
    digest = file_name.rsplit("-", 1)[-1].removesuffix(".pth")  # a convention of torch.hub
    if not DIGEST.fullmatch(digest):
        raise UsageError(f"{name}: torchvision publishes no digest for {weights.url}")
    return ExtractorRow(
        name=name,
        title=f"torchvision {model} ({weights.name}), input of the last linear layer",
        loader=f"{__name__}:load",
        weights=HostedWeights(weights.url, file_name, digest),
        feature_dim=head.feature_dim,
        num_classes=head.num_classes,
        channels=3,
        citation=str(weights.meta.get("recipe", "torchvision")),
        learnt="ImageNet labels",
    )


def default_weights(model: str) -> Any:
    """Return the weights that torchvision recommends for `model`."""
    return torchvision.models.get_model_weights(model).DEFAULT


def build(model: str) -> nn.Module:
    """Return the network on the meta device: shapes without values, for its default weights.

    The global random generator is not used.
    """
    options = dict(AUXILIARY.get(model, {}))
    if model.startswith("vit_"):
        options["image_size"] = default_weights(model).meta["min_size"][0]
    try:
        with torch.device("meta"):
            network = torchvision.models.get_model(model, weights=None, **options)
    except NotImplementedError:  # RegNet computes its widths with tensors, which need values
        with torch.random.fork_rng(devices=[]):
            network = torchvision.models.get_model(model, weights=None, **options).to("meta")
    built: nn.Module = network.eval()
    return built


def head_of(model: str) -> Head:
    """Return the last linear layer of `model`. Raises `UsageError` if its output is not logits."""
    network = build(model)
    called: list[tuple[str, Tensor, Tensor]] = []

    def watch(name: str, layer: nn.Linear) -> RemovableHandle:
        def hook(_layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            called.append((name, inputs[0], output))

        return layer.register_forward_hook(hook)

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear):
            watch(name, layer)
    (side,) = default_weights(model).transforms().crop_size
    with torch.inference_mode():
        logits = network(torch.empty(2, 3, side, side, device="meta"))
    if not called or called[-1][2] is not logits or called[-1][1].ndim != 2:
        raise UsageError(
            f"{PREFIX}{model} cannot be used: its class scores do not come from a linear layer, "
            f"so there are no penultimate features. Use another network, like {PREFIX}resnet50"
        )
    name, inputs, output = called[-1]
    return Head(name, inputs.shape[1], output.shape[1])


def load(resolved: ResolvedExtractor, device: str) -> NetworkExtractor:
    """Return the extractor of one network. Raises `BundleError` when the weights do not fit."""
    assert resolved.weights_path is not None  # noqa: S101  (as in the row)
    model = resolved.name.removeprefix(PREFIX)
    network = build(model)
    state = load_state(resolved.weights_path)
    if model.startswith("densenet"):
        state = {DENSENET_NAME.sub(r"\1\2", name): value for name, value in state.items()}
    load_strictly(network, state, f"weights {resolved.weights_path} of {resolved.name!r}")
    network = network.eval().requires_grad_(requires_grad=False).to(device)
    prepare: Callable[[Tensor], Tensor] = default_weights(model).transforms()
    penultimate: list[Tensor] = []
    layer = network.get_submodule(head_of(model).name)
    layer.register_forward_pre_hook(lambda _layer, inputs: penultimate.append(inputs[0]))

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        penultimate.clear()  # left by a forward that ran out of memory after the hook
        logits: Tensor = network(prepare(x))
        return penultimate.pop(), logits

    return NetworkExtractor(
        name=resolved.name,
        digest=resolved.digest,
        device=device,
        forward=forward,
        batch_size=resolved.batch_size or BATCH_SIZE[torch.device(device).type],
    )
