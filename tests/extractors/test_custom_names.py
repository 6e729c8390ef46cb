"""How `package.module:Class` is found, and names that lead nowhere."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.errors import UnknownNameError, UsageError
from bench.extractors import EXTRACTORS, FORMS, extractor_row
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


def test_nested_classes_and_packages(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").touch()
    code = textwrap.indent(textwrap.dedent(PLAIN), "    ").replace("    import", "import")
    (folder / "package" / "nets.py").write_text(f"import numpy as np\nclass Outer:\n{code[20:]}")
    assert load("package.nets:Outer.Net")(IMAGES).values.shape == (10, 4)


def test_a_class_from_elsewhere_has_its_own_source(folder: Path) -> None:
    path = write(folder, PLAIN, "my_source")
    write(folder, "from my_source import Net", "my_names")
    row = extractor_row("my_names:Net")
    assert row.weights == ComputedWeights(hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_current_directory_comes_last(folder: Path) -> None:
    """A file of the name of an installed module does not take its place."""
    write(folder, "raise RuntimeError('the wrong one')", "prdc")
    with pytest.raises(UsageError, match="prdc has no 'Net'"):
        extractor_row("prdc:Net")
    assert sys.path[-1] == str(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_nothing:Net", "there is no module 'my_nothing'; looked in "),
        ("my_net.sub:Net", "there is no module 'my_net.sub'; looked in|my_net' is not a package"),
        ("my_net:Other", "my_net has no 'Other'"),
        ("my_net:Net.Inner", "my_net has no 'Net.Inner'"),
        ("my_net:function", "function is a function, expected a class"),
        ("my_net:Dumb", r"Dumb has no method __call__\(self, images\)"),
        ("my_net:", "expected package.module:Class"),
        (":Net", "expected package.module:Class"),
        ("a:b:c", "expected package.module:Class"),
        ("my-net:Net", "expected package.module:Class"),
        ("..net:Net", "expected package.module:Class"),
        ("my_broken:Net", "importing my_broken fails: ZeroDivisionError: division by zero"),
        ("my_syntax:Net", "importing my_syntax fails: SyntaxError"),
        ("my_exit:Net", "importing my_exit fails: SystemExit: 3"),
        ("my_needy:Net", "there is no module 'my_unknown_module', which my_needy imports"),
        ("builtins:range", "range has no method __call__"),
        ("my_attributes:Digest", "digest is a int, expected a class attribute of type str"),
        ("my_attributes:Property", "digest is a property, expected a class attribute"),
        ("my_attributes:Empty", "digest is empty, expected a class attribute"),
        ("my_attributes:Dim", "feature_dim is 0, expected at least 1"),
        ("my_attributes:Channels", r"channels is 4, expected one of \(1, 3\)"),
    ],
)
def test_names_that_lead_nowhere(folder: Path, name: str, message: str) -> None:
    write(folder, PLAIN + "\n    class Dumb: pass\n    def function(images): pass\n")
    write(folder, "1 / 0", "my_broken")
    write(folder, "def", "my_syntax")
    write(folder, "raise SystemExit(3)", "my_exit")
    write(folder, "import my_unknown_module", "my_needy")
    write(
        folder,
        """
        class Net:
            def __call__(self, images): return images
        class Digest(Net): digest = 3
        class Property(Net):
            @property
            def digest(self): return "3"
        class Empty(Net): digest = ""
        class Dim(Net): feature_dim = 0
        class Channels(Net): channels = 4
        """,
        "my_attributes",
    )
    with pytest.raises(UsageError, match=message) as caught:
        extractor_row(name)
    assert f"extractor {name}" in str(caught.value) or f"extractor {name!r}" in str(caught.value)


def test_a_class_without_a_source_must_say_its_digest() -> None:
    module = type(sys)("my_made")
    exec(textwrap.dedent(PLAIN), module.__dict__)  # noqa: S102
    sys.modules["my_made"] = module
    with pytest.raises(UsageError, match="no source file .* attribute digest"):
        extractor_row("my_made:Net")
    module.__dict__["Net"].digest = "3"
    assert extractor_row("my_made:Net").weights == ComputedWeights(hashlib.sha256(b"3").hexdigest())


def test_names_of_the_table() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'pixels'") as caught:
        extractor_row("pixel")
    for name in (*EXTRACTORS, *FORMS):
        assert name in str(caught.value)


def test_listing_the_table_loads_nothing_heavy(folder: Path) -> None:
    """Nor does a custom extractor that needs nothing heavy itself."""
    write(folder, PLAIN)
    program = (
        "import sys; from bench.extractors import EXTRACTORS, extractor_row\n"
        "extractor_row('my_net:Net'); extractor_row('pixels').resolve().load()\n"
        "print(sorted({'torch', 'torchvision', 'torch_fidelity', 'scipy'} & set(sys.modules)))"
    )
    root = str(Path(__file__).parents[2])
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert result.stdout == "[]\n"
