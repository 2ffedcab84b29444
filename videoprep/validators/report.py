"""What validation found, and its forms for machines and notebooks."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from videoprep.validators.protocol import Finding, Severity


@dataclass(frozen=True, slots=True)
class Report:
    """All findings on a dataset, in the order of its lists.

    Attributes:
        root: the data root.
        profile: name of the profile that was applied.
        reshape: how clips may be fitted.
        total: samples written down in the lists.
        clean: those without an error or a warning.
        findings: everything found.
    """

    root: str
    profile: str
    reshape: str
    total: int
    clean: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.count(Severity.ERROR)

    def count(self, severity: Severity) -> int:
        """Findings of that severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def by_code(self) -> dict[str, int]:
        """Findings a code, ordered by code."""
        return dict(sorted(Counter(finding.code for finding in self.findings).items()))

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        return {
            "ok": self.ok,
            "root": self.root,
            "profile": self.profile,
            "reshape": self.reshape,
            "samples": self.total,
            "clean": self.clean,
            "with_findings": self.total - self.clean,
            "by_code": self.by_code,
            "findings": [
                {**asdict(finding), "severity": finding.severity.value} for finding in self.findings
            ],
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{html.escape(str(cell))}</td>"
                for cell in (f.code, f.severity.value, f.video or f.file, f.message, f.remedy)
            )
            + "</tr>"
            for f in self.findings[:100]
        )
        hidden = len(self.findings) - 100
        more = f"<p>… and {hidden} more</p>" if hidden > 0 else ""
        return (
            f"<p><b>{'clean' if self.ok else 'not clean'}</b>: {self.clean} of {self.total} samples"
            f" are clean</p><table><tr><th>code</th><th>severity</th><th>video</th><th>message</th>"
            f"<th>remedy</th></tr>{rows}</table>{more}"
        )
