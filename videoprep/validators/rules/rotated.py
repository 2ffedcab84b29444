"""VP112: the picture is stored upright."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.orientation import UPRIGHT
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class Rotated(Validator):
    """Here it is turned upright, and its size is that of the upright picture."""

    code = "VP112"
    name = "rotated"
    severity = Severity.NOTE
    summary = "The picture is stored upright."
    why = "Programs that ignore the display matrix train on pictures that lie on their side."
    example = "A video taken with a phone held upright: stored 1920×1080, shown 1080×1920."
    remedy = "Nothing to do if programs turn it upright, as is done here. For others, re-encode it."
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        turn = subject.media.orientation
        if turn != UPRIGHT:
            kind = "mirroring" if turn.mirrored else "rotation"
            what = "image" if subject.media.is_still else "video"
            yield self.finding(subject, f"the {what} has a {kind} flag, which is followed")
