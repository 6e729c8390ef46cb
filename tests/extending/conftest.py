"""A package that extends Latentbench, as if pip had installed it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Package:
    """A distribution in a folder of its own, with modules and entry points.

    `files` maps paths to contents; `entry_points` maps groups to names and objects, such as
    `{"latentbench.metrics": {"nearest_real": "nearest_real:NEAREST_REAL"}}`.
    """

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, str],
        entry_points: Mapping[str, Mapping[str, str]],
        name: str = "toy",
    ) -> None:
        self.folder = folder
        info = f"{name}-1.0.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        lines = []
        for group, entries in entry_points.items():
            lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
        self.write(f"{info}/METADATA", metadata)
        self.write(f"{info}/entry_points.txt", "\n".join([*lines, ""]))
        for path, content in files.items():
            self.write(path, content)

    def write(self, path: str, content: str) -> None:
        """Write one file of the package, or replace it."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `latentbench` with `arguments` in a process that can import the package."""
        return subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)])},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )


Install = Callable[..., Package]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """`Package` in a folder of the test: `install(files, entry_points)`."""
    return partial(Package, tmp_path / "site")


def examples(docstring: str | None) -> list[str]:
    """The indented blocks of a docstring, dedented, such as a module and its entry point."""
    blocks: list[list[str]] = [[]]
    for line in (docstring or "").splitlines():
        if line.startswith("    ") or not line:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    dedented = (textwrap.dedent("\n".join(block)).strip("\n") + "\n" for block in blocks)
    return [block for block in dedented if block.strip()]
