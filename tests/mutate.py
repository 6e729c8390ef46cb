"""Do the tests fail when a line is wrong? Changes one operator or constant at a time.

    python -m tests.mutate --num 400 --seed 0 --out reports/mutations

A mutant is one change in one file of `ROOMS`: a comparison, an operation, a constant, `and` for
`or`, or a `not` left out. The tests of that file, which pass without a change, run in a fork of a
process that has imported the libraries; the mutant survives when they pass. The same command goes
on where it stopped.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import torch

from tests.mutants_page import write_page

ROOT = Path(__file__).parents[1]
ROOMS = (
    *("bench/metrics", "bench/statistics", "bench/statistics/neighbours", "bench/intake"),
    *("bench/content/findings", "bench/comparing", "baselines/models", "baselines/tricks"),
    *("baselines/sampling", "baselines/ablation/analysis"),
)
LIMIT_S = 300.0  # of the tests of one mutant; beyond, it counts as noticed
MAX_FILES = 3  # of tests for one source file: its own, then those that import it most often
PAIRS = ("Lt LtE", "Gt GtE", "Eq NotEq", "Add Sub", "Mult Div", "And Or")
SWAPS = {a: b for pair in PAIRS for a, b in (pair.split(), pair.split()[::-1])} | {"Pow": "Mult"}


def changed(value: float) -> float:
    return value + 1 if isinstance(value, int) else value * 1.5 + 0.25


def sites(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield the nodes that can be changed, each with a description. Sums of texts are no sites."""
    for node in ast.walk(tree):
        operator = node.ops[0] if isinstance(node, ast.Compare) else getattr(node, "op", None)
        name = type(operator).__name__
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Compare | ast.BinOp | ast.BoolOp) and name in SWAPS:
            text = ast.unparse(node)
            if not ("'" in text or '"' in text):
                yield node, f"{line}: {name} -> {SWAPS[name]} in {text}"
        elif isinstance(node, ast.UnaryOp) and name == "Not":
            yield node, f"{line}: not left out in {ast.unparse(node)}"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield node, f"{line}: {node.value} -> {changed(node.value)}"  # type: ignore[arg-type]


def mutated(source: Path, number: int) -> ast.AST:
    """Return the tree of a file with the site of that number changed; with none for -1."""
    tree = ast.parse(source.read_text())
    if number < 0:
        return tree
    node: Any = list(sites(tree))[number][0]
    if isinstance(node, ast.Constant):
        node.value = changed(node.value)  # type: ignore[arg-type]
    elif isinstance(node, ast.UnaryOp):
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Compare):
        node.ops[0] = getattr(ast, SWAPS[type(node.ops[0]).__name__])()
    else:
        node.op = getattr(ast, SWAPS[type(node.op).__name__])()
    return ast.fix_missing_locations(tree)


def module_of(source: Path) -> str:
    return source.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")


def tests_of(source: Path) -> list[str]:
    """Return the test files of a source file."""
    room = source.relative_to(ROOT).parent
    folder = ROOT / "tests" / (room.relative_to("bench") if room.parts[0] == "bench" else room)
    names = (module_of(source), f"{module_of(source.parent)} import {source.stem}")
    found = []
    for file in (ROOT / "tests").rglob("test_*.py"):
        uses = sum(file.read_text().count(name) for name in names)
        own, near = file.name == f"test_{source.stem}.py", file.is_relative_to(folder)
        if uses or near:
            found.append((not (own and near), -uses, not near, str(file.relative_to(ROOT))))
    return [name for *_, name in sorted(found)[:MAX_FILES]]


def run_tests(source: Path, tree: ast.AST, files: list[str]) -> None:
    """In the fork: put the changed tree in place of the file, and exit with pytest's code."""
    os.setsid()
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    code = compile(tree, str(source), "exec")  # type: ignore[arg-type]
    spec: Any = importlib.util.spec_from_file_location(module_of(source), source)
    spec.loader.get_code = lambda _: code
    finder: Any = type("Finder", (), {})
    finder.find_spec = staticmethod(lambda name, *_: spec if name == spec.name else None)
    sys.meta_path.insert(0, finder)
    torch.set_num_threads(1)
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files])))


def survives(source: Path, number: int, files: list[str]) -> bool:
    """Return whether the tests pass with a mutant."""
    tree, start = mutated(source, number), time.monotonic()
    pid = os.fork()
    if pid == 0:
        run_tests(source, tree, files)
    while time.monotonic() - start < LIMIT_S:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def chosen(num: int, seed: int) -> list[tuple[Path, int, str]]:
    """Draw mutants: as many from each room, and within it from all sites alike."""
    generator, found = random.Random(seed), []  # noqa: S311
    for room in ROOMS:
        every = [
            (source, number, what)
            for source in sorted((ROOT / room).glob("[!_]*.py"))
            for number, (_, what) in enumerate(sites(ast.parse(source.read_text())))
        ]
        found += generator.sample(every, min(-(-num // len(ROOMS)), len(every)))
    generator.shuffle(found)
    return found[:num]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "mutations")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "mutants.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    known = {(row["file"], row["change"]): row for row in map(json.loads, lines)}
    sound: set[Path] = set()
    for source, number, what in chosen(given.num, given.seed):
        name = str(source.relative_to(ROOT))
        if (name, what) not in known:
            files = tests_of(source)
            if source not in sound and not survives(source, -1, files):
                raise SystemExit(f"{name}: its tests fail without a change: {files}")
            sound.add(source)
            row = {"file": name, "change": what, "survives": survives(source, number, files)}
            known[name, what] = row | {"tests": files}
            with file.open("a") as stream:
                stream.write(json.dumps(known[name, what]) + "\n")
            write_page(given.out, list(known.values()), ROOMS)


if __name__ == "__main__":
    assert scipy.stats
    main()
