"""VP113: pixels are square, or are made so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from videoprep.errors import Code
from videoprep.media.remedies import MendingStep, square_sides
from videoprep.validators.commands import remedy_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class NonSquarePixels(Validator):
    """Fitting scales them to square ones, as players do; a note says so."""

    code = Code.NON_SQUARE_PIXELS.value
    name = "non-square-pixels"
    severity = Severity.WARNING
    summary = "Pixels are square, or the clip may be fitted."
    why = (
        "With `reshape='none'` pixels are encoded as they are stored: people come out too thin or "
        "too wide."
    )
    example = "DVD material of 720×480 with a pixel aspect ratio of 32:27, shown as 853×480."
    remedy = "Scale it to square pixels; the finding gives the command."
    needs = frozenset({Need.HEADER, Need.PLAN})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media, left_out = subject.media, subject.left_out
        ratio, shown = media.pixel_aspect, media.shown_size
        width, height = shown
        if ratio == 1:
            return
        data: dict[str, Any] = {"ratio": str(ratio), "shown": [width, height]}
        message = f"pixels are {ratio.numerator}:{ratio.denominator}: stored as "
        message += f"{media.width}×{media.height}, shown as {width}×{height}"
        if left_out is not None and left_out.code.value == self.code:
            error = Severity.ERROR
            yield self.finding(subject, left_out.reason, left_out.remedy, severity=error, **data)
        elif subject.policy.reshape == "none":
            across, down = square_sides(media)
            odd = f" {across}×{down}, whose sides are even" if (across, down) != shown else ""
            lead = f"scale it to{odd or ' square pixels'}"
            remedy = remedy_for(subject, lead, MendingStep.SQUARE)
            yield self.finding(subject, message, remedy, **data)
        else:
            message += "; fitting makes them square"
            yield self.finding(subject, message, "nothing to do", severity=Severity.NOTE, **data)
