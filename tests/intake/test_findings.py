from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.intake import codes, findings
from bench.intake.codes import CODES
from bench.intake.findings import Collector

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
