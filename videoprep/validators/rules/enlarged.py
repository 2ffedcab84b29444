"""VP307: nothing is enlarged."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.geometry import square_size
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class Enlarged(Validator):
    """With consent to it, by `allow_upscale`: a note of how much."""

    code = "VP307"
    name = "enlarged"
    severity = Severity.NOTE
    summary = "The clip is not enlarged to fit its bucket."
    why = "What is enlarged is blurred, and the model learns to make blurred videos."
    example = "320×240 into 480×640 with `allow_upscale`: enlarged 2 times."
    remedy = "Leave out `allow_upscale`, or add a smaller bucket."
    needs = frozenset({Need.HEADER, Need.PLAN})

    def check(self, subject: Subject) -> Iterator[Finding]:
        if not subject.clips or not subject.policy.allow_upscale:
            return
        crop, fit = subject.clips[0].crop, subject.clips[0].fit
        width, height = square_size(crop.width, crop.height, subject.media.pixel_aspect)
        factor = max(fit.width / width, fit.height / height)
        if factor > 1:
            message = f"{width}×{height} is enlarged {factor:.2f} times"
            yield self.finding(
                subject, f"{message} to {fit.width}×{fit.height}", factor=round(factor, 4)
            )
