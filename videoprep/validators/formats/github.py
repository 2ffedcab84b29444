"""Workflow commands of GitHub Actions, which mark findings in the files of a change."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from videoprep.text import escape_unprintable
from videoprep.validators.protocol import Finding, Severity
from videoprep.validators.report import Report

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}

# GitHub shows ten of each kind a step, and leaves the others out without a word.
_SHOWN = 10


def as_github(report: Report) -> Iterator[str]:
    """Ten commands of each severity at most, then the counts as plain text."""
    shown: Counter[Severity] = Counter()
    for finding in report.findings:
        shown[finding.severity] += 1
        if shown[finding.severity] <= _SHOWN:
            yield _command(report, finding)
    for severity, count in shown.items():
        if count > _SHOWN:
            yield f"and {count - _SHOWN} more of severity {severity.value}\n"
    yield f"{report.total} samples = {report.clean} clean + {report.with_findings} with findings"
    kinds = {"dropped in a review": report.dropped, "unusable": report.unusable - report.dropped}
    yield "".join(f" + {count} {kind}" for kind, count in kinds.items() if count) + "\n"


def _command(report: Report, finding: Finding) -> str:
    place = f"file={_value(_relative(finding.file))}"
    if finding.line is not None:
        place += f",line={finding.line}"
    title = _value(f"{finding.code} {report.name_of(finding.code)}")
    video = f"{finding.subject}: " if finding.subject else ""
    text = _text(f"{video}{finding.message}; {finding.remedy}")
    return f"::{_COMMANDS[finding.severity]} {place},title={title}::{text}\n"


def _relative(file: str) -> str:
    """GitHub knows files by their path in the repository, where commands run."""
    try:
        return os.fspath(Path(file).resolve().relative_to(Path.cwd()))
    except ValueError:
        return file


def _text(text: str) -> str:
    """Escapes what would end the command, and what would steer a terminal."""
    return (
        escape_unprintable(text, "\r\n")
        .replace("%", "%25")
        .replace("\r", "%0D")
        .replace("\n", "%0A")
    )


def _value(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
