from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench.intake import codes, findings
from bench.intake.codes import CODES
from bench.intake.findings import Collector
from tests.intake.pictures import make_folder

PACKAGE = Path(codes.__file__).parent


def test_findings_come_errors_first_with_sorted_examples():
    collector = Collector()
    collector.add("ignored-file", [b".DS_Store"])
    collector.add("junk-file", [b"x"])
    collector.add("png-damaged", [b"%d" % i for i in range(9, 1, -1)], "CRC")
    collector.add("png-damaged", [b"1"], "size")
    result = collector.findings()
    assert [f.code for f in result] == ["png-damaged", "junk-file", "ignored-file"]
    assert (result[0].count, result[0].examples) == (9, ("1", "2", "3", "4", "5"))
    assert result[0].message.endswith(": CRC (8), size (1)")
    assert collector.has_errors


def test_a_spec_turns_warnings_into_errors():
    for strict, severity in ((False, "warning"), (True, "error")):
        collector = Collector(strict=strict)
        collector.add("junk-file", [b"a"])
        assert collector.findings()[0].severity == severity
        assert collector.has_errors is strict


def test_an_unknown_code_is_our_own_fault():
    with pytest.raises(KeyError, match="no-such-code"):
        Collector().add("no-such-code", [b"a"])


def test_every_code_is_used_and_every_row_is_complete():
    strings = {
        node.value
        for path in PACKAGE.glob("*.py")
        if path.name != "codes.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(CODES) <= strings
    for row in CODES.values():
        assert row.message
        assert row.fix.endswith((".", "!"))


def test_examples_are_safe_to_print():
    collector = Collector()
    collector.add("symlink", [b"a\x1b]0;x\x07.png"])
    assert collector.findings()[0].examples == (r"a\x1b]0;x\x07.png",)
    assert findings.NUM_EXAMPLES == 5


@pytest.mark.parametrize("options", [[], ["--content"]], ids=["files", "content"])
def test_an_audit_imports_nothing_heavy(tmp_path, options):
    """Neither the networks nor the statistics of a score, unless a reference is compared with."""
    make_folder(tmp_path, 3)
    code = (
        "import sys\n"
        "from bench.__main__ import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        "print('LOADED', *sys.modules)\n"
    )
    command = [sys.executable, "-c", code, "audit", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "numpy" in loaded
    assert not loaded & {"torch", "scipy", "sklearn", "pandas", "matplotlib", "PIL.Image"}
