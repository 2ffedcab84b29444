"""VP134: sound lasts as long as the clips."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.errors import Code
from videoprep.index.placement import player_time
from videoprep.validators.hearing import SoundOptions, heard, missing
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class ShortSoundOptions(SoundOptions):
    """Options of `ShortSound`."""

    frames: float = Field(
        default=1, ge=0, description="frames at the end of a clip that may be without sound"
    )


class ShortSound(Validator):
    """What headers and packets say is believed.

    Of a file of its own, and of the video's own sound if the profile's family takes sound. It is a
    warning if the clip then fails, and a note if silence stands for so little.
    """

    code = Code.SHORT_SOUND.value
    name = "short-sound"
    severity = Severity.WARNING
    summary = "Sound lasts as long as the clips, but for a frame at most."
    why = (
        "A clip that lacks more than a tenth of a second of its sound fails, if the model is "
        "trained with sound. Silence stands for less."
    )
    example = "A video of 12 s whose sound file has 8 s."
    remedy = (
        "Name the whole sound, or use an earlier part of the video; with `allow_damaged` silence "
        "stands for what is missing."
    )
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS, Need.PLAN, Need.MEDIA})
    Options = ShortSoundOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        audio = heard(subject, self.options)
        if audio is None or audio.end is None:
            return
        short = []
        for placement in subject.clips:
            lacks = sum(player_time(subject.media, placement)) - audio.end
            severity = missing(lacks, placement, self.options.frames)
            if severity is not None:
                short.append((lacks, severity))
        if short:
            most, severity = max(short, key=lambda one: one[0])
            whose = "sound" if subject.sound is None else "sound file"
            yield self.finding(
                subject,
                f"its {whose} ends {float(most):.2f} s before the last clip does",
                severity=severity,
                seconds=float(most),
                clips=len(short),
            )
