"""VP304: the wanted frame rate is not above the file's own."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.index.placement import Placement
from videoprep.validators.protocol import Finding, Severity, Subject, Validator


class FramesRepeated(Validator):
    """The clip keeps its speed, but some of its frames stand for two moments: it stutters."""

    code = Code.FRAMES_REPEATED.value
    name = "frames-repeated"
    summary = "The target frame rate is not above the file's own."

    def check(self, subject: Subject) -> Iterator[Finding]:
        place = subject.place
        if not isinstance(place, Placement):
            return
        used = len(place.frame_indices)
        repeated = used - len(set(place.frame_indices.tolist()))
        if repeated and place.rate > subject.media.fps:
            yield subject.finding(
                self,
                Severity.WARNING,
                f"at {float(place.rate):g} frames a second, {repeated} of {used} frames repeat the "
                f"one before: the file has {float(subject.media.fps):g}",
                f"use --target-fps {float(subject.media.fps):g} or less",
                repeated=repeated,
                frames=used,
            )
