"""Rows of torch-fidelity's CLIP, DINOv2 and VGG16. See `bench.extractors.fidelity_nets`.

Names, URLs, file names in torch's cache and the digests of CLIP and VGG16 are those of
torch-fidelity 0.4 (for VGG16, of torchvision), as a test checks. No digests are published for
DINOv2: these are the ones that independent public projects pin for the files at these URLs.
"""

from __future__ import annotations

from bench.extractors.base import ExtractorRow
from bench.extractors.weights_files import HostedWeights

_CLIP_URL = "https://openaipublic.azureedge.net/clip/models"
_DINOV2_URL = "https://dl.fbaipublicfiles.com/dinov2"
_LOADERS = "bench.extractors.fidelity_nets"

_CLIP = (  # name, file, feature dimension, SHA-256
    ("rn50", "RN50", 1024, "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
    ("rn101", "RN101", 512, "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"),
    ("rn50x4", "RN50x4", 640, "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"),
    ("rn50x16", "RN50x16", 768, "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"),
    (
        "rn50x64",
        "RN50x64",
        1024,
        "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
    ),
    (
        "vit-b-32",
        "ViT-B-32",
        512,
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    ),
    (
        "vit-b-16",
        "ViT-B-16",
        512,
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    ),
    (
        "vit-l-14",
        "ViT-L-14",
        768,
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    ),
    (
        "vit-l-14-336px",
        "ViT-L-14-336px",
        768,
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    ),
)
_DINOV2 = (  # size, feature dimension, SHA-256
    ("s", 384, "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"),
    ("b", 768, "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"),
    ("l", 1024, "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"),
    ("g", 1536, "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3"),
)


def _clip(variant: str, file: str, feature_dim: int, sha256: str) -> ExtractorRow:
    name = f"clip-{variant}"
    return ExtractorRow(
        name=name,
        title=f"CLIP {file} image embedding, as torch-fidelity",
        loader=f"{_LOADERS}:load_clip",
        weights=HostedWeights(f"{_CLIP_URL}/{sha256}/{file}.pt", f"{name}-{sha256}.pt", sha256),
        feature_dim=feature_dim,
        num_classes=None,
        channels=3,
        citation="Radford et al. 2021, arXiv:2103.00020",
        learnt="images and their texts from the web",
    )


def _dinov2(size: str, feature_dim: int, sha256: str) -> ExtractorRow:
    model = f"dinov2_vit{size}14"
    file = f"{model}_pretrain.pth"
    return ExtractorRow(
        name=f"dinov2-vit-{size}-14",
        title=f"DINOv2 ViT-{size.upper() if size != 'g' else size}/14 class token, "
        "as torch-fidelity",
        loader=f"{_LOADERS}:load_dinov2",
        weights=HostedWeights(f"{_DINOV2_URL}/{model}/{file}", file, sha256),
        feature_dim=feature_dim,
        num_classes=None,
        channels=3,
        citation="Oquab et al. 2023, arXiv:2304.07193",
        learnt="142 million images without labels",
    )


_VGG16 = ExtractorRow(
    name="vgg16",
    title="VGG16 of torchvision, second hidden layer of 4096, as torch-fidelity",
    loader=f"{_LOADERS}:load_vgg16",
    weights=HostedWeights(
        "https://download.pytorch.org/models/vgg16-397923af.pth", "vgg16-397923af.pth", "397923af"
    ),
    feature_dim=4096,
    num_classes=None,
    channels=3,
    layers=("fc2_relu", "fc2"),
    protocols=("torch-fidelity", "improved-precision-recall"),
    citation="Simonyan and Zisserman 2015, arXiv:1409.1556",
    learnt="ImageNet labels",
)

FIDELITY_ROWS = (
    *(_clip(*row) for row in _CLIP),
    *(_dinov2(*row) for row in _DINOV2),
    _VGG16,
)
