"""SARIF 2.1.0, the form in which code scanners tell their findings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import videoprep
from videoprep.validators.protocol import Finding, Rule, Severity
from videoprep.validators.report import Report

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(report: Report) -> Iterator[str]:
    """One document with one run."""
    numbers = {code: number for number, code in enumerate(report.rules)}
    driver = {
        "name": "videoprep",
        "version": videoprep.__version__,
        "rules": [_rule(rule) for rule in report.rules.values()],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"DATA": {"uri": _folder(report.root)}},
        "properties": report.summary(),
    }
    start = json.dumps(run, ensure_ascii=True, allow_nan=False).removesuffix("}")
    yield f'{{"$schema": "{_SCHEMA}", "version": "2.1.0", "runs": [{start}, "results": ['
    for number, finding in enumerate(report.findings):  # one by one: there may be a million
        text = json.dumps(_result(report, finding, numbers), ensure_ascii=True, allow_nan=False)
        yield f"{',' if number else ''}\n{text}"
    yield "\n]}]}\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why or rule.summary},
        "help": {"text": rule.remedy or rule.summary},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(report: Report, finding: Finding, numbers: dict[str, int]) -> dict[str, Any]:
    video = f"{finding.subject}: " if finding.subject else ""
    physical: dict[str, Any] = {"artifactLocation": _artifact(report.root, finding.file)}
    if finding.line is not None:
        physical["region"] = {"startLine": finding.line}
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{video}{finding.message}. {finding.remedy}".strip()},
        "locations": [{"physicalLocation": physical}],
        "properties": {
            "video": finding.video,
            "data": dict(finding.data),
            **({"dataset": finding.dataset} if report.datasets else {}),
        },
    }
    if finding.code in numbers:
        result["ruleIndex"] = numbers[finding.code]
    return result


def _artifact(root: str, file: str) -> dict[str, Any]:
    try:
        relative = Path(os.path.abspath(file)).relative_to(os.path.abspath(root))
    except ValueError:
        return {"uri": quote(os.fsencode(file))}
    return {"uri": quote(os.fsencode(relative)), "uriBaseId": "DATA"}


def _folder(root: str) -> str:
    return f"file://{quote(os.fsencode(os.path.abspath(root)))}/"
