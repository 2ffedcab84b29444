"""VP307: nothing is enlarged."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class Enlarged(Validator):
    """With consent to it, by ``--allow-upscale``: a note of how much."""

    code = Code.ENLARGED.value
    name = "enlarged"
    severity = Severity.NOTE
    summary = "The clip is not enlarged to fit its bucket."
    why = "What is enlarged is blurred, and the model learns to make blurred videos."
    example = "320×240 into 480×640 with --allow-upscale: enlarged 2 times."
    remedy = "Leave out --allow-upscale, or add a smaller bucket."
    needs = frozenset({Need.HEADER, Need.PLAN})

    def check(self, subject: Subject) -> Iterator[Finding]:
        if not subject.clips:
            return
        crop, fit = subject.clips[0].crop, subject.clips[0].fit
        factor = max(fit.width / crop.width, fit.height / crop.height)
        if factor > 1:
            message = f"{crop.width}×{crop.height} is enlarged {factor:.2f} times"
            yield self.finding(
                subject, f"{message} to {fit.width}×{fit.height}", factor=round(factor, 4)
            )
