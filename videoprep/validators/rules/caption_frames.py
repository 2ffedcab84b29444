"""VP214: captions do not count frames."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.phrases import frame_reference
from videoprep.validators.protocol import Finding, Severity, Subject, Validator

_SHOWN = 80


class CaptionFrames(Validator):
    """A model that got single frames tells of them; a clip in training has others."""

    code = "VP214"
    name = "caption-frames"
    severity = Severity.WARNING
    summary = "Captions name no frames by number, and no times in the video."
    why = "Frames and times are those of the captioner's sample, not of the clip that is trained."
    example = (
        "In the first frame, a man sits.   ·   frame 12   ·   [00:03]   ·   at the 5-second mark"
    )
    remedy = "Say what happens, in its order, instead of when."

    def check(self, subject: Subject) -> Iterator[Finding]:
        words = frame_reference(subject.sample.written)
        if words is not None:
            yield self.finding(
                subject, f"the caption speaks of frames or times: {words[:_SHOWN]!r}"
            )
