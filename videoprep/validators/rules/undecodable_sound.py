"""VP139: a video's own sound decodes."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.hearing import SoundOptions, heard
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class UndecodableSound(Validator):
    """A file of its own that does not decode costs its sample, and has a finding of its own.

    Nothing is said if the profile's family takes no sound.
    """

    code = "VP139"
    name = "undecodable-sound"
    severity = Severity.WARNING
    summary = "A sample of the video's own sound can be decoded."
    why = "Clips with such sound fail, if the model is trained with sound."
    example = "A sound track without a packet; one of a codec that FFmpeg does not know."
    remedy = (
        "Convert or download the file again, or remove the sound track: a clip without sound is "
        "one that says so."
    )
    needs = frozenset({Need.HEADER, Need.MEDIA})
    Options = SoundOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        audio = heard(subject, self.options)
        if audio is not None and audio.error is not None:
            yield self.finding(subject, f"its sound cannot be decoded: {audio.error}")
