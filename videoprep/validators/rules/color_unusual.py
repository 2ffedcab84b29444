"""VP118: colours are made as in most videos."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.remedies import MendingStep, unusual_colors
from videoprep.validators.commands import remedy_for, steps_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class ColorUnusual(Validator):
    """The RGB values do not mean the same as in the model's training data.

    Pixels stored as RGB need no matrix and are used unchanged.
    """

    code = "VP118"
    name = "color-unusual"
    severity = Severity.WARNING
    summary = "Colours are those of BT.709 or BT.601."
    why = "Wide gamuts read as BT.709 look pale; rare matrices are not supported everywhere."
    example = "A phone's video in Display P3; a BT.2020 master; a matrix of SMPTE 240M."
    remedy = "Convert it to BT.709; the finding gives the command."
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        parts = unusual_colors(subject.media)
        if parts:
            mapped = steps_for(subject) & {MendingStep.TONE_MAP}
            own = MendingStep.TONE_MAP if mapped else MendingStep.BT709
            lead = f"{'tone-map' if mapped else 'convert'} it to BT.709"
            remedy = remedy_for(subject, lead, own)
            yield self.finding(subject, f"unusual colours: {', '.join(parts)}", remedy)
