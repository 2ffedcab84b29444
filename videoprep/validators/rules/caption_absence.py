"""VP213: captions say what is there."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.phrases import claim_of_absence
from videoprep.validators.protocol import Finding, Severity, Subject, Validator

_SHOWN = 80


class CaptionAbsence(Validator):
    """Captioners like to say what they do not see. "Without a hat" is let pass."""

    code = "VP213"
    name = "caption-absence"
    severity = Severity.NOTE
    summary = "Captions say what is there, not what is missing."
    why = "Text encoders hardly know negation: “no text” is as near to text as “text” is."
    example = "There is no text.   ·   No people are visible.   ·   without any camera movement"
    remedy = "Delete what the caption says about things that are not there."

    def check(self, subject: Subject) -> Iterator[Finding]:
        words = claim_of_absence(subject.sample.written)
        if words is not None:
            yield self.finding(subject, f"the caption says what is missing: {words[:_SHOWN]!r}")
