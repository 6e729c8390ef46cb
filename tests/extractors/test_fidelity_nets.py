"""CLIP and DINOv2: the constants are torch-fidelity's, the features are torch-fidelity's.

Weights are random, saved on the spot, and read by both sides from the same file. DINOv2 is the
exception: torch-fidelity would clone a repository, so its network here is the reference's
arithmetic, written out again below after facebookresearch/dinov2 (`vision_transformer.py`,
`attention.py`, `block.py`, `swiglu_ffn.py` at 7764ea0).
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity import feature_extractor_clip, feature_extractor_dinov2
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from bench.errors import BundleError
from bench.extractors import EXTRACTORS
from bench.extractors.base import ExtractorChoice
from bench.extractors.dinov2 import SHAPES, Dinov2, Dinov2Shape
from bench.extractors.fidelity_nets import CLIP_SHAPES
from bench.extractors.fidelity_rows import FIDELITY_ROWS
from bench.extractors.network import NetworkExtractor
from bench.extractors.weights_files import HostedWeights, hub_folder
from tests.extractors.vgg16_weights import random_state

IMAGES = np.random.default_rng(5).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)


def hosted(name: str) -> HostedWeights:
    weights = EXTRACTORS[name].weights
    assert isinstance(weights, HostedWeights)
    return weights


def test_names_are_those_of_torch_fidelity() -> None:
    names = {row.name for row in FIDELITY_ROWS}
    assert names == set(FEATURE_EXTRACTORS_REGISTRY) - {"inception-v3-compat"}
    assert names <= set(EXTRACTORS)


@pytest.mark.parametrize("name", sorted(CLIP_SHAPES))
def test_constants_of_clip(name: str) -> None:
    digest = feature_extractor_clip.MODEL_METADATA[name]["hash"]
    url = feature_extractor_clip.MODEL_URLS[name]
    assert hosted(name) == HostedWeights(url, f"{name}-{digest}.pt", digest)
    assert EXTRACTORS[name].feature_dim == CLIP_SHAPES[name].embed_dim


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_constants_of_dinov2(name: str) -> None:
    model = feature_extractor_dinov2.MODEL_METADATA[name]
    # _DINOV2_BASE_URL and _make_dinov2_model of the reference's dinov2/hub
    url = f"https://dl.fbaipublicfiles.com/dinov2/{model}/{model}_pretrain.pth"
    assert hosted(name).url == url
    assert hosted(name).file_name == f"{model}_pretrain.pth"
    assert len(hosted(name).sha256) == 64
    assert EXTRACTORS[name].feature_dim == SHAPES[name].width


def extractor(name: str, path: Path, **choice: str) -> NetworkExtractor:
    chosen = ExtractorChoice(weights=path, unverified_weights=True, batch_size=2, **choice)
    resolved = EXTRACTORS[name].resolve(chosen)
    assert not resolved.verified
    loaded = resolved.load()
    assert isinstance(loaded, NetworkExtractor)
    return loaded


def assert_same_features(ours: NetworkExtractor, theirs: nn.Module) -> None:
    with torch.inference_mode():
        (expected,) = theirs(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
    found = ours(IMAGES).values
    assert found.dtype == np.float32
    assert found.shape == (3, EXTRACTORS[ours.name].feature_dim)
    assert np.ptp(found, axis=0).max() > 1e-3  # not a constant
    scale = float(expected.abs().max())
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5 * scale)


class WholeClip(nn.Module):
    """What OpenAI's archives hold, as far as anybody reads it: the image tower, and some text."""

    def __init__(self, name: str) -> None:
        super().__init__()
        shape = CLIP_SHAPES[name]
        self.visual = CLIPVisual(*shape).visual
        for weight in self.visual.parameters():
            if weight.ndim > 1:  # as initialised, a ResNet says nearly the same of any image
                nn.init.normal_(weight, std=math.sqrt(2 / weight[0].numel()))
        self.text_projection = nn.Parameter(torch.randn(8, shape.embed_dim))
        self.ln_final = nn.LayerNorm(8)
        self.register_buffer("input_resolution", torch.tensor(shape.side_px))

    def forward(self, x: Tensor) -> Tensor:
        return x + 1


@pytest.fixture(scope="module", params=["clip-rn50", "clip-vit-b-32"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript archive with random float16 weights, named for its variant."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("clip") / f"{request.param}.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; CLIP comes in it
        torch.jit.trace(WholeClip(request.param).half().eval(), torch.zeros(1)).save(path)
    return path


def test_clip_is_torch_fidelitys(clip: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-fidelity runs the archive
        theirs = FeatureExtractorCLIP(clip.stem, ["clip"], feature_extractor_weights_path=str(clip))
    assert_same_features(extractor(clip.stem, clip), theirs.eval())


def test_clip_of_another_variant_is_refused(clip: Path) -> None:
    other = {"clip-rn50": "clip-rn50x4", "clip-vit-b-32": "clip-vit-b-16"}[clip.stem]
    with pytest.raises(BundleError, match=rf"{clip.name} of '{other}' do not fit.*visual\."):
        extractor(other, clip)


class ReferenceDinov2(nn.Module):
    """facebookresearch/dinov2's forward over a state dict, without any module of ours."""

    def __init__(self, state: dict[str, Tensor], num_heads: int) -> None:
        super().__init__()
        self.state = state
        self.num_heads = num_heads
        self.depth = 1 + max(int(name.split(".")[1]) for name in state if "blocks." in name)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def layer_norm(self, name: str, x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return x * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attention(self, name: str, x: Tensor) -> Tensor:
        B, N, C = x.shape
        qkv = self.linear(f"{name}.qkv", x).reshape(B, N, 3, self.num_heads, C // self.num_heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0] * (C // self.num_heads) ** -0.5, qkv[1], qkv[2]
        attn = (q @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.linear(f"{name}.proj", (attn @ v).transpose(1, 2).reshape(B, N, C))

    def mlp(self, name: str, x: Tensor) -> Tensor:
        if f"{name}.w12.weight" in self.state:
            x1, x2 = self.linear(f"{name}.w12", x).chunk(2, dim=-1)
            return self.linear(f"{name}.w3", x1 * torch.sigmoid(x1) * x2)
        x = self.linear(f"{name}.fc1", x)
        return self.linear(f"{name}.fc2", 0.5 * x * (1 + torch.erf(x / math.sqrt(2))))

    def forward(self, x: Tensor) -> Tensor:
        B, _, w, h = x.shape
        weight, bias = (self.state[f"patch_embed.proj.{part}"] for part in ("weight", "bias"))
        x = F.conv2d(x, weight, bias, stride=14).flatten(2).transpose(1, 2)
        x = torch.cat((self.state["cls_token"].expand(B, -1, -1), x), dim=1)
        pos_embed = self.state["pos_embed"]
        N, dim = pos_embed.shape[1] - 1, pos_embed.shape[2]
        M = int(math.sqrt(N))
        w0, h0 = w // 14 + 0.1, h // 14 + 0.1
        patches = F.interpolate(
            pos_embed[:, 1:].reshape(1, M, M, dim).permute(0, 3, 1, 2),
            scale_factor=(w0 / math.sqrt(N), h0 / math.sqrt(N)),
            mode="bicubic",
        )
        assert patches.shape[-2:] == (int(w0), int(h0))
        patches = patches.permute(0, 2, 3, 1).reshape(1, -1, dim)
        x = x + torch.cat((pos_embed[:, :1], patches), dim=1)
        for i in range(self.depth):
            at = f"blocks.{i}"
            gamma1, gamma2 = self.state[f"{at}.ls1.gamma"], self.state[f"{at}.ls2.gamma"]
            x = x + gamma1 * self.attention(f"{at}.attn", self.layer_norm(f"{at}.norm1", x))
            x = x + gamma2 * self.mlp(f"{at}.mlp", self.layer_norm(f"{at}.norm2", x))
        return self.layer_norm("norm", x)[:, 0]


def dinov2_state(shape: Dinov2Shape) -> dict[str, Tensor]:
    with torch.device("meta"):
        empty = Dinov2(shape).state_dict()
    return random_state(empty)


def test_dinov2_is_torch_fidelitys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "dinov2-vit-s-14"
    state = dinov2_state(SHAPES[name])
    torch.save(state, tmp_path / "w.pth")
    asked: list[tuple[str, str]] = []

    def load(repository: str, model: str) -> nn.Module:
        asked.append((repository, model))
        return ReferenceDinov2(state, SHAPES[name].num_heads)

    monkeypatch.setattr(torch.hub, "load", load)
    monkeypatch.setenv("XFORMERS_DISABLED", "")  # torch-fidelity sets it: put back afterwards
    theirs = FeatureExtractorDinoV2(name, ["dinov2"])
    assert asked == [("facebookresearch/dinov2", "dinov2_vits14")]
    assert_same_features(extractor(name, tmp_path / "w.pth"), theirs)


def test_the_gated_dinov2_agrees_with_the_reference() -> None:
    """The block of ViT-g, small: 64 wide has 176 hidden values, (int(256 * 2 / 3) + 7) // 8 * 8."""
    shape = Dinov2Shape(width=64, depth=2, num_heads=4, gated=True)
    state = dinov2_state(shape)
    assert state["blocks.0.mlp.w12.weight"].shape == (352, 64)
    model = Dinov2(shape)
    model.load_state_dict(state)
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        found = model(x)
        expected = ReferenceDinov2(state, shape.num_heads)(x)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_parameter_counts_of_dinov2() -> None:
    """Counts without mask token, from the model cards of timm (`vit_*_patch14_dinov2`, in M)."""
    expected = {"s": 22.06, "b": 86.58, "l": 304.37, "g": 1136.48}
    for size, millions in expected.items():
        with torch.device("meta"):
            model = Dinov2(SHAPES[f"dinov2-vit-{size}-14"])
        count = sum(p.numel() for p in model.parameters()) - model.mask_token.numel()
        assert round(count / 1e6, 2) == millions


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"norm.weight": torch.zeros(384), "features.0.weight": torch.zeros(3)}, path)
    with pytest.raises(
        BundleError, match=r"of 'dinov2-vit-s-14' do not fit.*missing.*and \d+ more"
    ):
        extractor("dinov2-vit-s-14", path)
    with pytest.raises(
        BundleError, match="of 'vgg16' do not fit.*features.0.weight is torch.float"
    ):
        extractor("vgg16", path)
    with pytest.raises(BundleError, match=r"hold no tensor 'visual\.\*'"):
        extractor("clip-vit-b-32", path)


def test_the_file_in_torchs_cache_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = hosted("dinov2-vit-g-14")
    hub_folder().mkdir(parents=True)
    (hub_folder() / weights.file_name).write_bytes(b"half")
    with pytest.raises(BundleError, match=f"{weights.file_name}.*expected {weights.sha256}"):
        EXTRACTORS["dinov2-vit-g-14"].resolve()


def test_nothing_is_drawn_from_the_global_generator(tmp_path: Path) -> None:
    name = "dinov2-vit-s-14"
    torch.save(dinov2_state(SHAPES[name]), tmp_path / "w.pth")
    before = torch.random.get_rng_state()
    first = extractor(name, tmp_path / "w.pth")(IMAGES[:1]).values
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(extractor(name, tmp_path / "w.pth")(IMAGES[:1]).values, first)
