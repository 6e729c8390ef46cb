"""Real images, weights and what tests of targets share."""

from __future__ import annotations

import pytest

from bench.extractors.base import ResolvedExtractor
from bench.records.score_record import ScoreRecord

PROTOCOLS = ("torch-fidelity", "clean-fid", "pytorch-fid", "torchmetrics")


FAST = ["fid", "precision_k3", "mean_confidence"]


PLAIN = {"extractor": "random-conv", "metrics": ["fid", "precision_k3"]}


def forbid_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ResolvedExtractor, device: str = "cpu") -> None:
        raise AssertionError(f"{self.name} was loaded")

    monkeypatch.setattr(ResolvedExtractor, "load", fail)


def values(record: ScoreRecord) -> dict[str, float | None]:
    return {entry.metric: entry.value for entry in record.values}


def warnings(record: ScoreRecord) -> list[str]:
    """Codes of warnings, apart from that about the few images of these tests."""
    codes = [finding.code for finding in record.findings if finding.severity == "warning"]
    return [code for code in codes if code != "few-images"]
