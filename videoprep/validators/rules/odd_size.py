"""VP114: width and height are even."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.remedies import MendingStep
from videoprep.validators.commands import remedy_for, steps_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class OddSize(Validator):
    """Colour is stored at half the size: an odd side has half a pixel too much of it."""

    code = "VP114"
    name = "odd-size"
    severity = Severity.WARNING
    summary = "Width and height are even."
    why = "Most encoders and players handle odd sides badly: a green or repeated line at the edge."
    example = "853×480"
    remedy = "Fit the clip into a bucket, or cut a line; the finding gives the command."
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        width, height = subject.media.width, subject.media.height
        if width % 2 or height % 2:
            own = MendingStep.EVEN if MendingStep.EVEN in steps_for(subject) else MendingStep.SQUARE
            cut = "cut a line" if own is MendingStep.EVEN else "scale it to square pixels"
            remedy = remedy_for(subject, f"fit the clip into a bucket, or {cut}", own)
            yield self.finding(subject, f"{width}×{height} has an odd side", remedy)
