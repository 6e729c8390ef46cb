"""Float32 products by their real precision, whatever a process has set before, and its settings put
back: read in a process of its own for each way to set them, because what PyTorch starts with cannot
be set again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

# What applies with the process's own settings, and with those above the operations replaced:
# two states that read alike and follow their backend differently are told apart.
READER = """
import json, os, sys
import torch
from bench.runtime.devices import strict_float32, tf32_allowed

get = torch._C._get_fp32_precision_getter
set = torch._C._set_fp32_precision_setter
NAMES = [
    (backend, name)
    for backend in ("generic", "cuda", "mkldnn")
    for name in (["all"] if backend == "generic" else ["all", "matmul", "conv", "rnn"])
]
OLDER = {
    "matmul": torch.get_float32_matmul_precision,
    "cublas": lambda: torch.backends.cuda.matmul.allow_tf32,
    "cudnn": lambda: torch.backends.cudnn.allow_tf32,
}

def read():
    found = {f"{backend}.{name}": get(backend, name) for backend, name in NAMES}
    for name, getter in OLDER.items():
        try:
            found[name] = getter()
        except RuntimeError:
            found[name] = "refused"
    return found

def read_under_all_parents():
    found, generic = [read()], get("generic", "all")
    set("generic", "all", "none")
    found.append(read())
    for backend in ("cuda", "mkldnn"):
        own = get(backend, "all")
        for parent in ("none", "ieee", "tf32"):
            set(backend, "all", parent)
            found.append(read())
        set(backend, "all", own)
    set("generic", "all", generic)
    return found

def observe(mode):
    exec(mode)
    before = read_under_all_parents()
    found = {"before": before, "inside": {}, "after": []}
    for context in (strict_float32, tf32_allowed):
        with context():
            found["inside"][context.__name__] = read()
            for inner in (tf32_allowed, strict_float32):
                with inner():
                    pass
            found["inside"][context.__name__ + " again"] = read()
        found["after"].append(read_under_all_parents())
    try:
        with strict_float32():
            raise KeyError
    except KeyError:
        found["after"].append(read_under_all_parents())
    return found

results = []
for mode in json.load(sys.stdin):
    reader, writer = os.pipe()
    if os.fork() == 0:
        with os.fdopen(writer, "w") as file:
            json.dump(observe(mode), file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        results.append(json.load(file))
    os.wait()
json.dump(results, sys.stdout)
"""

MODES = [
    "pass",
    "torch.set_float32_matmul_precision('highest')",
    "torch.set_float32_matmul_precision('high')",
    "torch.set_float32_matmul_precision('medium')",
    "torch.backends.cuda.matmul.allow_tf32 = True",
    "torch.backends.cuda.matmul.allow_tf32 = False",
    "torch.backends.cudnn.allow_tf32 = True",
    "torch.backends.cudnn.allow_tf32 = False",
    "torch.backends.fp32_precision = 'ieee'",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.backends.fp32_precision = 'bf16'",
    "torch.backends.cudnn.fp32_precision = 'ieee'",
    "torch.backends.cudnn.fp32_precision = 'tf32'",
    "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "torch.backends.cudnn.rnn.fp32_precision = 'ieee'",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.mkldnn.fp32_precision = 'bf16'",
    "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
    "torch.backends.mkldnn.conv.fp32_precision = 'bf16'",
    "torch.backends.mkldnn.set_flags(_fp32_precision='bf16')",
    "torch.set_float32_matmul_precision('high')\n"
    "torch.backends.cuda.matmul.fp32_precision = 'none'",
    "torch.backends.cudnn.allow_tf32 = False\ntorch.backends.fp32_precision = 'tf32'",
]
OPERATIONS = [f"{backend}.{name}" for backend in ("cuda", "mkldnn") for name in ("matmul", "conv")]
OPERATIONS += ["cuda.rnn", "mkldnn.rnn"]


@pytest.fixture(scope="module")
def observed() -> dict[str, Any]:
    """What each mode shows, from one child process, forked for each."""
    found = subprocess.run(
        [sys.executable, "-c", READER],
        input=json.dumps(MODES),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return dict(zip(MODES, json.loads(found.stdout), strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_products_are_float32_whatever_was_set(mode: str, observed: dict[str, Any]) -> None:
    inside = observed[mode]["inside"]
    for again in ("", " again"):
        strict = inside[f"strict_float32{again}"]
        assert {name: strict[name] for name in OPERATIONS} == dict.fromkeys(OPERATIONS, "ieee")
        assert strict["matmul"] == "highest"  # readable, and no TF32 for who goes by it
        assert strict["cublas"] is False
        tf32 = inside[f"tf32_allowed{again}"]
        expected = dict.fromkeys(OPERATIONS, "ieee") | {"cuda.conv": "tf32", "cuda.rnn": "tf32"}
        assert {name: tf32[name] for name in OPERATIONS} == expected
        assert (tf32["matmul"], tf32["cublas"], tf32["cudnn"]) == ("highest", False, True)


@pytest.mark.parametrize("mode", MODES)
def test_settings_are_put_back(mode: str, observed: dict[str, Any]) -> None:
    found = observed[mode]
    for after in found["after"]:
        assert after == found["before"]


@pytest.mark.parametrize("mode", [mode for mode in MODES if "cudnn.allow_tf32" in mode])
def test_the_older_switch_stays_readable(mode: str, observed: dict[str, Any]) -> None:
    """Once it was set: PyTorch's own default cannot be put back after it."""
    assert observed[mode]["inside"]["strict_float32"]["cudnn"] is False


def test_the_modes_differ(observed: dict[str, Any]) -> None:
    """Or being put back would say nothing."""
    states = {json.dumps(found["before"]) for found in observed.values()}
    assert len(states) >= len(MODES) - 3  # as some are other ways to the same one
