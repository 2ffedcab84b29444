"""What validation found, and its forms for machines and notebooks."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from videoprep.validators.overview import Overview
from videoprep.validators.protocol import Finding, Rule, Severity

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Report:
    """All findings on a dataset, in the order of its lists.

    ``total`` samples are ``clean`` + ``with_findings`` + ``unusable``.

    Attributes:
        root: the data root.
        profile: name of the profile that was applied.
        reshape: how clips may be fitted.
        fail_on: the severity from which on the dataset is not ok.
        total: samples written down in the lists.
        clean: those without an error or a warning.
        unusable: those that cannot be used for a reason whose rule is not applied.
        findings: everything found.
        rules: the rules that were applied, by code.
        overview: what is known of all samples together; None where the lists cannot be read.
    """

    root: str
    profile: str
    reshape: str
    fail_on: str
    total: int
    clean: int
    unusable: int
    findings: tuple[Finding, ...]
    rules: Mapping[str, Rule] = field(default_factory=dict, repr=False)
    overview: Overview | None = field(default=None, repr=False)

    @property
    def with_findings(self) -> int:
        """Samples with an error or a warning."""
        return self.total - self.clean - self.unusable

    @property
    def ok(self) -> bool:
        """Whether there is no error; with ``fail_on="warning"``, no warning either."""
        failing = self.count(Severity.ERROR)
        if self.fail_on == "warning":
            failing += self.count(Severity.WARNING)
        return not failing

    def count(self, severity: Severity) -> int:
        """Findings of that severity."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def by_code(self) -> dict[str, int]:
        """Findings a code, ordered by code."""
        return dict(sorted(Counter(finding.code for finding in self.findings).items()))

    def name_of(self, code: str) -> str:
        """The name of the rule with that code."""
        return self.rules[code].name if code in self.rules else code

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        findings = [
            {**asdict(finding), "severity": finding.severity.value, "rule": self.name_of(code)}
            for finding in self.findings
            if (code := finding.code)
        ]
        return {**self.summary(), "findings": findings}

    def summary(self) -> dict[str, Any]:
        """The counts, without the findings; JSON values."""
        return {
            "ok": self.ok,
            "root": self.root,
            "profile": self.profile,
            "reshape": self.reshape,
            "fail_on": self.fail_on,
            "samples": self.total,
            "clean": self.clean,
            "with_findings": self.with_findings,
            "unusable": self.unusable,
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "notes": self.count(Severity.NOTE),
            "by_code": self.by_code,
        }

    def to_pandas(self) -> pd.DataFrame:
        """One row a finding.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd

        columns = ["code", "severity", "message", "remedy", "file", "line", "video", "rule", "data"]
        return pd.DataFrame(self.to_json()["findings"], columns=columns)

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
