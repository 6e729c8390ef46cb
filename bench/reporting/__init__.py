"""Reports: records and their pictures as a page, a summary, a card or a table."""

from __future__ import annotations

from bench.reporting.writing import FORMATS, report

__all__ = ["FORMATS", "report"]
