"""VP138: sound begins with the clips."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.index.placement import player_time
from videoprep.validators.hearing import SoundOptions, heard, missing
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class LateSoundOptions(SoundOptions):
    """Options of `LateSound`."""

    frames: float = Field(
        default=1, ge=0, description="frames at the beginning of a clip that may be without sound"
    )


class LateSound(Validator):
    """A clip that ends before the sound begins has none, which is no fault.

    Of a file of its own, and of the video's own sound if the profile's family takes sound. It is a
    warning if the clip then fails, and a note if silence stands for so little.
    """

    code = "VP138"
    name = "late-sound"
    severity = Severity.WARNING
    summary = "Sound begins with the clips, but for a frame at most."
    why = (
        "A clip that lacks more than a tenth of a second of its sound fails, if the model is "
        "trained with sound. Silence stands for less."
    )
    example = "A recording whose microphone was switched on after 2 s."
    remedy = (
        "Use a later part of the video; with `allow_damaged` silence stands for what is missing."
    )
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS, Need.PLAN, Need.MEDIA})
    Options = LateSoundOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        audio = heard(subject, self.options)
        if audio is None or audio.error is not None:
            return
        late = []
        for placement in subject.clips:
            begins, lasts = player_time(subject.media, placement)
            lacks = audio.start - begins
            severity = missing(lacks, placement, self.options.frames)
            if severity is not None and lacks < lasts:
                late.append((lacks, severity))
        if late:
            most, severity = max(late, key=lambda one: one[0])
            yield self.finding(
                subject,
                f"its sound begins {float(most):.2f} s after a clip does",
                severity=severity,
                seconds=float(most),
                clips=len(late),
            )
