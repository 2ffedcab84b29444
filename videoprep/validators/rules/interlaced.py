"""VP115: frames are whole pictures."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.media.remedies import MendingStep
from videoprep.validators.commands import remedy_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class Interlaced(Validator):
    """Each frame holds two moments, in alternate lines."""

    code = Code.INTERLACED.value
    name = "interlaced"
    severity = Severity.WARNING
    summary = "Frames are whole pictures, not two interlaced fields."
    why = "The model learns the combs at moving edges."
    example = "Material from television or camcorders."
    remedy = "Deinterlace it; the finding gives the command."
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        if subject.media.interlaced:
            remedy = remedy_for(subject, "deinterlace it", MendingStep.DEINTERLACE)
            yield self.finding(subject, "its first frame is interlaced", remedy)
