"""VP141: sound is mono or stereo."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.audio import MOST_CHANNELS
from videoprep.validators.hearing import SoundOptions, heard
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator

_STEREO = 2


class SurroundSound(Validator):
    """Up to eight channels are mixed as players with two loudspeakers do it.

    Of a file of its own, and of the video's own sound if the profile's family takes sound.
    """

    code = "VP141"
    name = "surround-sound"
    severity = Severity.NOTE
    summary = "Sound has one or two channels."
    why = (
        "Models take one or two: more are mixed, and speech from the centre may get lost among "
        "what surrounds it. A clip with more than eight fails."
    )
    example = "The sound of a film in 5.1."
    remedy = "Nothing, if the mixture is meant; if not, mix it yourself and name it as a file."
    needs = frozenset({Need.HEADER, Need.MEDIA})
    Options = SoundOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        audio = heard(subject, self.options)
        if audio is None or audio.channels <= _STEREO:
            return
        fails = audio.channels > MOST_CHANNELS
        becomes = f"more than {MOST_CHANNELS}: clips with it fail" if fails else "mixed to stereo"
        yield self.finding(
            subject,
            f"its sound has {audio.channels} channels ({audio.layout}), {becomes}",
            severity=Severity.WARNING if fails else None,
            channels=audio.channels,
        )
