"""What validation found, and its forms for machines and notebooks."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from videoprep.spec.entries import Reading
from videoprep.spec.group_file import DatasetRole
from videoprep.text import counted, escape_unprintable
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import Finding, Rule, Severity

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class DatasetCounts:
    """What was found in one of several datasets."""

    name: str
    role: DatasetRole
    """What it is for."""
    samples: int
    """Those written down: ``clean`` + ``with_findings`` + ``unusable``."""
    clean: int
    with_findings: int
    unusable: int
    errors: int
    warnings: int
    notes: int
    reading: Reading | None
    """Which files and columns were read; None if nothing could be."""

    @classmethod
    def of(
        cls, name: str, role: DatasetRole, report: Report, findings: Iterable[Finding]
    ) -> DatasetCounts:
        """Count what was found.

        Args:
            name: of the dataset.
            role: what it is for.
            report: on it alone.
            findings: all that are about it.
        """
        found = Counter(finding.severity for finding in findings)
        return cls(
            name,
            role,
            report.total,
            report.clean,
            report.with_findings,
            report.unusable,
            found[Severity.ERROR],
            found[Severity.WARNING],
            found[Severity.NOTE],
            report.reading,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for machines."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**values, "reading": None if self.reading is None else self.reading.to_json()}


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
        unusable: those that are not used, and about which nothing worse than a note is said.
        dropped: those of ``unusable`` that a person dropped in a review.
        findings: everything found.
        rules: the rules that were applied, by code.
        rules_left_out: how many of the rules that are applied by default were not.
        overview: what is known of all samples together; None where the lists cannot be read.
        passing: bool ``[samples]``: which of the overview's samples can be used and nothing fails.
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
    rules_left_out: int = 0
    dropped: int = 0
    overview: Overview | None = field(default=None, repr=False)
    passing: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)
    reading: Reading | None = field(default=None, repr=False)
    """Which files and columns were read, and what was passed over; None if nothing could be, or if
    there are several datasets."""
    datasets: tuple[DatasetCounts, ...] = field(default=(), repr=False)
    """What was found in each, if there are several."""

    @property
    def with_findings(self) -> int:
        """Samples with an error or a warning."""
        return self.total - self.clean - self.unusable

    @property
    def ok(self) -> bool:
        """Whether there is no error; with ``fail_on="warning"``, no warning either.

        A dataset of which no sample can be used is not ok, whatever is ignored.
        """
        if any(finding.fails(self.fail_on) for finding in self.findings):
            return False
        return self.passing is None or bool(self.passing.any())

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
        return {**self.summary(), "findings": list(self.rows())}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each finding, in a form that `json` can write."""
        for finding in self.findings:
            yield {
                "code": finding.code,
                "rule": self.name_of(finding.code),
                "severity": finding.severity.value,
                "message": finding.message,
                "remedy": finding.remedy,
                "file": finding.file,
                "line": finding.line,
                "row": finding.row,
                "sample": finding.number,
                "video": finding.video,
                "data": dict(finding.data),
                **({"dataset": finding.dataset} if self.datasets else {}),
            }

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
            "dropped": self.dropped,
            "rules_left_out": self.rules_left_out,
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "notes": self.count(Severity.NOTE),
            "by_code": self.by_code,
            "reading": None if self.reading is None else self.reading.to_json(),
            **({"datasets": [one.to_json() for one in self.datasets]} if self.datasets else {}),
        }

    def to_pandas(self) -> pd.DataFrame:
        """One row a finding.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd

        columns = [
            "code", "rule", "severity", "message", "remedy", "file", "line", "row", "sample",
            "video", "data", *(["dataset"] if self.datasets else []),
        ]  # fmt: skip
        frame: pd.DataFrame = pd.DataFrame(list(self.rows()), columns=columns)
        return frame

    def __repr__(self) -> str:
        counts = ", ".join(counted(self.count(one), one.value) for one in Severity)
        state = "ok" if self.ok else "not ok"
        return (
            f"Report({self.root!r}: {state}; {self.clean} of {self.total} samples clean; {counts})"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{html.escape(escape_unprintable(str(cell)))}</td>"
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
