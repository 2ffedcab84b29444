"""JSON: one document, or a line a finding and a last line with the counts."""

from __future__ import annotations

import json
from collections.abc import Iterator

from videoprep.validators.report import Report


def as_json(report: Report) -> Iterator[str]:
    """One document."""
    yield json.dumps(report.to_json(), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def as_json_lines(report: Report) -> Iterator[str]:
    """A line a finding, with ``"type": "finding"``, then one with ``"type": "summary"``."""
    for finding in report.rows():
        yield json.dumps({"type": "finding", **finding}, ensure_ascii=True, allow_nan=False) + "\n"
    yield json.dumps({"type": "summary", **report.summary()}, ensure_ascii=True) + "\n"
