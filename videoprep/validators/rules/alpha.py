"""VP119."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.remedies import MendingStep
from videoprep.validators.commands import remedy_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class Alpha(Validator):
    """Of a video, what lies under transparent parts, often black, comes to light.

    Still images are put on the colour `image_background`, and a note says so.
    """

    code = "VP119"
    name = "alpha"
    severity = Severity.WARNING
    summary = "The video has no transparency."
    why = "Transparent parts show whatever colour is stored below them."
    example = "An animation in a ProRes 4444 or WebM file with an alpha channel."
    remedy = "Put it on a ground of its own; the finding gives the command for a white one."
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        if media.is_still and media.alpha:
            ground = subject.policy.image_background
            message = f"has transparent pixels, which are put on {ground}"
            remedy = "nothing to do, or choose another colour with `image_background`"
            yield self.finding(subject, message, remedy, severity=Severity.NOTE)
        elif media.alpha and media.pixel_format != "pal8":
            remedy = remedy_for(subject, "put it on a white ground", MendingStep.GROUND)
            message = f"has an alpha channel ({media.pixel_format})"
            yield self.finding(subject, message, remedy)
