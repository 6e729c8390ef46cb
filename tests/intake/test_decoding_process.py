"""The process that decodes: what it loads, and from where it starts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from bench.intake.decoder import Entry
from tests.intake.pictures import make_folder

NAMES = [f"{i:04d}.png".encode() for i in range(40)]


ENTRIES = [Entry(name) for name in NAMES]


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "s", 40)


def test_the_process_loads_no_heavy_package(folder):
    """Neither torch nor numpy; Pillow only for files that need it. Limits are in force."""
    report = (
        "import json, sys, resource\n"
        "from bench.intake import worker\n"
        "worker.limit_this_process()\n"
        "heavy = [m for m in ('torch', 'numpy', 'PIL', 'pydantic') if m in sys.modules]\n"
        "kinds = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)\n"
        "print(json.dumps([heavy, [resource.getrlimit(k)[0] for k in kinds]]))\n"
    )
    with psutil.Popen([sys.executable, "-P", "-c", report], stdout=-1, env=environment()) as child:
        heavy, limits = json.loads(child.stdout.read())
    assert heavy == []
    assert limits == [4 << 30, 1 << 20, 0]


def test_works_from_a_script_without_a_main_guard(folder, tmp_path):
    """A script without a main guard, in another directory, finds the package by its sys.path."""
    root = Path(__file__).resolve().parents[2]
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from bench.intake import audit\n"
        f"print(audit({str(folder)!r}, num_workers=2).images.images.shape)\n"
    )
    with psutil.Popen([sys.executable, str(script)], stdout=-1, cwd=tmp_path) as child:
        assert child.stdout.read() == b"(40, 28, 28, 1)\n"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
