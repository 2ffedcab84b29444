"""`videoprep validate`: checks a dataset against the rules."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from videoprep.cli.options import Format, OutputFormat, dataset_options, make_spec
from videoprep.cli.output import meter, print_json, safe, stdout

if TYPE_CHECKING:
    from videoprep.validators.protocol import Finding
    from videoprep.validators.report import Report

_EXAMPLES = 10
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


@dataset_options
def validate(
    path: Path, dataset: dict[str, Any], output_format: Format = OutputFormat.rich
) -> None:
    """Check a dataset against the rules; exit code 1 if it breaks one.

    Nothing is changed. The default rule: width and height divisible by 32; 4k or 4k+1 frames.
    """
    from videoprep.validators.engine import validate as run

    spec = make_spec(path, dataset)
    with meter() as shown:
        report = run(spec, on_progress=lambda done, total: shown.update("checked", done, total))
    if output_format is OutputFormat.json:
        print_json(report.to_json())
    else:
        print_report(report)
    raise typer.Exit(0 if report.ok else 1)


def print_report(report: Report) -> None:
    """Findings grouped by rule, with examples, and a summary that adds up."""
    ordered = sorted(report.findings, key=lambda f: (f.code, f.severity.value))
    for (code, severity), group in groupby(ordered, key=lambda f: (f.code, f.severity.value)):
        _print_group(code, severity, list(group))
    verdict = safe("clean", "bold green") if report.ok else safe("not clean", "bold red")
    counts = f" · {report.total} samples = {report.clean} clean + "
    counts += f"{report.total - report.clean} with findings"
    rules = f" · profile {report.profile}, reshape {report.reshape}"
    stdout.print(verdict + safe(counts + rules))


def _print_group(code: str, severity: str, findings: list[Finding]) -> None:
    plural = "s" if len(findings) > 1 else ""
    stdout.print(safe(f"{code} {severity}", _STYLES[severity]) + f" · {len(findings)} time{plural}")
    for finding in findings[:_EXAMPLES]:
        where = (
            finding.file if finding.line is None else f"{Path(finding.file).name}:{finding.line}"
        )
        subject = f"{finding.video} ({where})" if finding.video else where
        stdout.print(safe(f"  {subject}: {finding.message}"))
        stdout.print(safe(f"    → {finding.remedy}", "dim"))
    if len(findings) > _EXAMPLES:
        stdout.print(f"  … and {len(findings) - _EXAMPLES} more; --output-format json lists all")
    stdout.print()
