"""VP117: the file says how its colours are meant."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.remedies import BT709, MendingStep, is_untagged, matrix_meant
from videoprep.validators.commands import remedy_for, steps_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class ColorUntagged(Validator):
    """Decoders take untagged video for BT.601, large pictures too, which mostly are BT.709."""

    code = "VP117"
    name = "color-untagged"
    severity = Severity.NOTE
    summary = "The file says which matrix its colours were made with."
    why = "Taken for the wrong one, greens and reds are off by some levels."
    example = "A 1920×1080 file without colour tags: read as BT.601, meant as BT.709."
    remedy = (
        "Tag it as BT.709 or BT.601, if you know how it was made; the finding gives the command."
    )
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        if is_untagged(media):
            large = matrix_meant(media) == BT709
            hint = ", but a picture this large is mostly BT.709" if large else ""
            severity = Severity.WARNING if large else None
            message = f"no colour matrix is named: BT.601 is taken{hint}"
            converted = steps_for(subject) & {MendingStep.TONE_MAP, MendingStep.BT709}
            if converted:
                remedy = remedy_for(subject, "convert it to BT.709", *converted)
            else:
                lead = f"tag it, if it was made as BT.{709 if large else 601}"
                remedy = remedy_for(
                    subject, lead, MendingStep.TAG_BT709 if large else MendingStep.TAG_BT601
                )
            yield self.finding(subject, message, remedy, severity=severity)
