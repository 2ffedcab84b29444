"""VP215: captions speak of what is in the video, not of the video."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.phrases import about_the_video
from videoprep.validators.protocol import Finding, Severity, Subject, Validator

_SHOWN = 80


class CaptionVideo(Validator):
    """Openings such as "The video shows", and the same words later."""

    code = "VP215"
    name = "caption-video"
    severity = Severity.NOTE
    summary = "Captions speak of what is in the video, not of “the video” or “this clip”."
    why = "The words cost tokens, are the same in every caption, and prompts seldom have them."
    example = "The video shows a man on a horse.   ·   This clip ends with a sunset."
    remedy = "Begin with what is seen: “A man on a horse”."

    def check(self, subject: Subject) -> Iterator[Finding]:
        words = about_the_video(subject.sample.written)
        if words is not None:
            yield self.finding(subject, f"the caption speaks of the video: {words[:_SHOWN]!r}")
