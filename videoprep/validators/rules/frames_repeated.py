"""VP304: the wanted frame rate is not above the file's own."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.index.placement import Placement
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class FramesRepeated(Validator):
    """The clip keeps its speed, but some of its frames stand for two moments: it stutters."""

    code = Code.FRAMES_REPEATED.value
    name = "frames-repeated"
    severity = Severity.WARNING
    summary = "The target frame rate is not above the file's own."
    why = "The model learns to stutter."
    example = "A file of 8 frames a second with --target-fps 16: every other frame is a copy."
    remedy = "Lower --target-fps to the file's own rate."
    needs = frozenset({Need.PLAN, Need.TIMESTAMPS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        place = subject.place
        if not isinstance(place, Placement) or subject.policy.target_fps is None:
            return
        used = len(place.frame_indices)
        repeated = used - len(set(place.frame_indices.tolist()))
        if repeated and place.rate > subject.media.fps:
            own = float(subject.media.fps)
            yield self.finding(
                subject,
                f"at {float(place.rate):g} frames a second, {repeated} of {used} frames repeat the "
                f"one before: the file has {own:g}",
                f"use --target-fps {own:g} or less",
                repeated=repeated,
                frames=used,
            )
