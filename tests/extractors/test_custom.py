"""A user's own `package.module:Class`: found, constructed, and everything it returns checked."""

from __future__ import annotations

import hashlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.errors import InputError, UsageError
from bench.extractors import extractor_row
from bench.extractors.base import ComputedWeights, Extractor, ExtractorChoice

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 8, 9, 3), dtype=np.uint8)
PLAIN = """
    import numpy as np

    class Net:
        def __call__(self, images):
            return images.reshape(len(images), -1)[:, :4].astype(np.float32)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, importable as for the command; what is imported is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("my_", "pack")):
            del sys.modules[name]


def write(folder: Path, code: str, name: str = "my_net") -> Path:
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(code))
    return path


def load(name: str = "my_net:Net", device: str = "cpu", **choice: int) -> Extractor:
    return extractor_row(name).resolve(ExtractorChoice(**choice)).load(device)  # type: ignore[arg-type]


def make(folder: Path, body: str, head: str = "") -> Extractor:
    """An extractor whose `__call__(self, images)` is `body`."""
    code = "import numpy as np\nimport torch\nfrom bench.statistics.moments import Features\n"
    code += f"{head}\nclass Net:\n"
    code += "    calls = 0\n    def __call__(self, images):\n        self.calls += 1\n"
    (folder / "my_net.py").write_text(code + textwrap.indent(textwrap.dedent(body), " " * 8))
    return load(batch_size=4)


def test_the_smallest_one(folder: Path) -> None:
    path = write(folder, PLAIN)
    seen: list[tuple[int, int]] = []
    extractor = load(batch_size=4)
    found = extractor(IMAGES, progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(found.values, IMAGES.reshape(10, -1)[:, :4].astype(np.float32))
    assert found.values.dtype == np.float32
    assert found.logits is None
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert extractor.name == "my_net:Net"
    assert extractor.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_one_of_the_documentation(folder: Path) -> None:
    from bench.extractors import custom

    assert custom.__doc__ is not None
    example = custom.__doc__.split("\n\n")[1]
    head = "import torch\nload_my_model = lambda: torch.nn.Sequential("
    head += "torch.nn.Flatten(), torch.nn.Linear(216, 5))\n"
    (folder / "my_nets.py").write_text(head + textwrap.dedent(example))
    extractor = load("my_nets:MyNet")
    assert extractor(IMAGES).values.shape == (10, 5)
    assert extractor.digest == hashlib.sha256(b"1").hexdigest()
    assert len(example.splitlines()) <= 15


def test_attributes(folder: Path) -> None:
    digest = "ab" * 32
    write(
        folder,
        f"""
        import numpy as np

        class Net:
            name = "a net of mine"
            digest = "{digest}"
            feature_dim = 1
            channels = 1

            def __init__(self, device):
                self.device = device

            def __call__(self, images):
                assert images.shape[3] == 1
                images[:] = 0 if self.device == "cpu" else 1  # its own copy
                return images.reshape(len(images), -1)[:, :1].astype(np.float32)
        """,
    )
    row = extractor_row("my_net:Net")
    assert (row.title, row.feature_dim, row.channels) == ("a net of mine", 1, 1)
    assert row.weights == ComputedWeights(digest)
    before = IMAGES.copy()
    assert load(device="cuda")(IMAGES).values.tolist() == [[1.0]] * 10
    np.testing.assert_array_equal(IMAGES, before)
    grey = IMAGES[..., :1].copy()
    load()(grey)
    np.testing.assert_array_equal(grey, IMAGES[..., :1])


def test_grey_is_replicated_unless_grey_is_asked_for(folder: Path) -> None:
    extractor = make(folder, "return images.mean(axis=(1, 2)).astype(np.float32)")
    assert extractor(IMAGES[..., :1]).values.shape == (10, 3)


@pytest.mark.parametrize(
    "body",
    [
        "return images[:, 0, 0].astype(np.float32)",
        "return torch.from_numpy(images[:, 0, 0].astype(np.float32)).requires_grad_()",
        "return Features(images[:, 0, 0].astype(np.float32))",
        # one buffer for every batch, in another order of memory
        """
        if not hasattr(Net, "buffer"): Net.buffer = np.zeros((3, 4), np.float32).T
        Net.buffer[:len(images)] = images[:, 0, 0]
        return Net.buffer[:len(images)]
        """,
    ],
    ids=["array", "tensor", "features", "buffer"],
)
def test_what_may_be_returned(folder: Path, body: str) -> None:
    found = make(folder, body)(IMAGES)
    np.testing.assert_array_equal(found.values, IMAGES[:, 0, 0].astype(np.float32))
    assert found.values.flags.c_contiguous


def test_logits_come_along(folder: Path) -> None:
    body = "x = images[:, 0, 0].astype(np.float32)\nreturn Features(x, -x[:, :2])"
    found = make(folder, body)(IMAGES)
    assert found.logits is not None
    np.testing.assert_array_equal(found.logits, -found.values[:, :2])


GOOD = "x = images[:, 0, 0].astype(np.float32)\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "features are a NoneType, expected a NumPy array"),
        ("return [[1.0, 2.0]] * len(images)", "features are a list"),
        (GOOD + "return (x, x)", "features are a tuple"),
        (GOOD + "return x.astype(np.float64)", "features are float64; return float32"),
        (GOOD + "return torch.from_numpy(x).double()", "features are float64; return float32"),
        (GOOD + "return torch.from_numpy(x).bfloat16()", "features are bfloat16; return float32"),
        ("return images[:, 0, 0]", "features are uint8; return float32"),
        (GOOD + "return x[:-1]", r"shape \(3, 3\), expected \(4, D\): a row per image"),
        (GOOD + "return x[0]", r"shape \(3,\), expected \(4, D\)"),
        (GOOD + "return x[:, :, None]", r"shape \(4, 3, 1\), expected \(4, D\)"),
        (GOOD + "return x[:, :0]", r"shape \(4, 0\), expected \(4, D\)"),
        (
            GOOD + "x[1] = np.nan if self.calls == 2 else 0\nreturn x",
            "NaN or infinite for 1 of 4 images: number 5$",
        ),
        (GOOD + "x[:, 1] = np.inf\nreturn x", "for 4 of 4 images: number 0, 1, 2, 3$"),
        (GOOD + "return x[:, :4 - self.calls]", "features have 2 dimensions, 3 were expected"),
        (GOOD + "return Features(x, x.astype(np.float64))", "logits are float64; return float32"),
        (GOOD + "return Features(x, x[:-1])", r"logits have shape \(3, 3\)"),
        (GOOD + "return Features(x, x * np.nan)", "logits are NaN or infinite for 4 of 4"),
        (GOOD + "return Features(x, x[:, self.calls - 1:])", "logits have 2 dimensions, 3 were"),
        (
            GOOD + "return Features(x, x if self.calls == 1 else None)",
            "logits are returned for some",
        ),
        (
            "return images[0, 0, 0, 99]",
            r"fails on images uint8 \(4, 8, 9, 3\): IndexError: index 99",
        ),
        ("raise KeyError", "fails on images .*: KeyError$"),
        ("from bench.errors import InputError\nraise InputError('too blue')", "^too blue$"),
    ],
)
def test_what_is_refused(folder: Path, body: str, message: str) -> None:
    extractor = make(folder, body)
    with pytest.raises((UsageError, InputError), match=message) as caught:
        extractor(IMAGES)
    assert "my_net:Net" in str(caught.value) or "too blue" in message
    if "fails on" in message:
        assert isinstance(caught.value.__cause__, LookupError)


def test_the_dimension_is_kept_between_calls_and_as_declared(folder: Path) -> None:
    extractor = make(folder, "return images[:, 0, :, 0].astype(np.float32)")
    extractor(IMAGES)
    with pytest.raises(UsageError, match="features have 8 dimensions, 9 were expected"):
        extractor(IMAGES[:, :, :8])
    write(folder, PLAIN.replace("def", "feature_dim = 5\n        def"), "my_other")
    with pytest.raises(UsageError, match="features have 4 dimensions, 5 were expected"):
        load("my_other:Net")(IMAGES)


def test_images_are_checked_first(folder: Path) -> None:
    extractor = make(folder, "raise SystemExit")
    with pytest.raises(InputError, match="needs uint8 images"):
        extractor(IMAGES.astype(np.float32))  # type: ignore[arg-type]


# Finding the class


# Constructing it


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("", "no device"),
        (", device", "cpu"),
        (", *, device='x'", "cpu"),
        (", **options", "cpu"),
        (", size=3", "no device"),
    ],
)
def test_the_device_is_given_where_it_is_taken(folder: Path, signature: str, expected: str) -> None:
    write(
        folder,
        f"""
        class Net:
            def __init__(self{signature}):
                taken = locals()
                self.device = taken.get("options", taken).get("device", "no device")
            def __call__(self, images): ...
        """,
    )
    extractor = load()
    assert extractor.instance.device == expected  # type: ignore[attr-defined]
    assert extractor.device == "cpu"


def test_constructors_that_fail(folder: Path) -> None:
    write(
        folder,
        """
        class Net:
            def __call__(self, images): ...
        class Fails(Net):
            def __init__(self): raise OSError("no such weights")
        class Needs(Net):
            def __init__(self, path): ...
        class Late(Net):
            def __init__(self): self.digest = "of the file"
        """,
    )
    with pytest.raises(
        UsageError, match="its constructor fails: OSError: no such weights"
    ) as caught:
        load("my_net:Fails")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(UsageError, match="its constructor fails: TypeError.*'path'"):
        load("my_net:Needs")
    with pytest.raises(UsageError, match="set it as a class attribute"):
        load("my_net:Late")


def test_a_torch_module_is_a_class_like_any(folder: Path) -> None:
    write(
        folder,
        """
        import torch

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = torch.nn.Linear(3, 2)
            def forward(self, images):
                return self.linear(torch.from_numpy(images).float().mean((1, 2)))
        """,
    )
    assert load()(IMAGES).values.shape == (10, 2)


# The table


def test_choices_that_it_does_not_have(folder: Path) -> None:
    write(folder, PLAIN)
    row = extractor_row("my_net:Net")
    with pytest.raises(UsageError, match="takes no weights file"):
        row.resolve(ExtractorChoice(weights=folder))
    with pytest.raises(UsageError, match="has no choice of precision"):
        row.resolve(ExtractorChoice(precision="fp16"))


def test_tensors_on_another_device_come_back(folder: Path) -> None:
    """`cpu()` is called: shown with a tensor that says so."""
    write(
        folder,
        """
        import numpy as np, torch

        class Far(torch.Tensor):
            came_back = 0
            def cpu(self):
                Far.came_back += 1
                return self.as_subclass(torch.Tensor)

        class Net:
            def __call__(self, images):
                return torch.zeros(len(images), 2).as_subclass(Far)
        """,
    )
    assert load()(IMAGES).values.shape == (10, 2)
    assert sys.modules["my_net"].Far.came_back == 1
