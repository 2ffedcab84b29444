"""VP119: the video has no transparency."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class Alpha(Validator):
    """Transparency is dropped, and what lies under it, often black, comes to light."""

    code = Code.ALPHA.value
    name = "alpha"
    severity = Severity.WARNING
    summary = "The video has no transparency."
    why = "Transparent parts show whatever colour is stored below them."
    example = "An animation in a ProRes 4444 or WebM file with an alpha channel."
    remedy = "Put it on a ground of your choice, with FFmpeg's overlay filter."
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        if media.alpha and media.pixel_format != "pal8":
            yield self.finding(subject, f"has an alpha channel ({media.pixel_format})")
