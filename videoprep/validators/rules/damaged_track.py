"""VP140: all of a sample's sound decodes."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class DamagedTrack(Validator):
    """All of the sound is decoded, whatever part of it clips take."""

    code = "VP140"
    name = "damaged-track"
    severity = Severity.WARNING
    summary = "Every packet of the sound decodes without an error, into sound of one form."
    why = (
        "Decoders give silence or noise for what is damaged. A clip with damaged sound fails, if "
        "the model is trained with sound."
    )
    example = "A download with wrong bytes in the middle; a broadcast that changes to 5.1."
    remedy = "Copy or download the file again, or cut it where its sound changes."
    needs = frozenset({Need.SOUND, Need.MEDIA})
    opt_in = True

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan = subject.sound_scan
        if scan is not None and scan.complaint is not None:
            yield self.finding(subject, f"its sound is damaged: {scan.complaint}")
