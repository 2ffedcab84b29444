"""VP122: every frame decodes, and all are of one format."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.decode import FrameDamage
from videoprep.validators.protocol import Finding, Need, Subject, Validator


class Damaged(Validator):
    """Decoders hide damage: blocks that are lost are copied from elsewhere."""

    code = "VP122"
    name = "damaged"
    summary = "Every frame decodes without an error, and all have the size and format of the first."
    why = (
        "Concealed damage looks like smears and blocks, and the model learns them. A clip that "
        "goes over a change of size or colours cannot be encoded."
    )
    example = "A download with wrong bytes in the middle: 37 damaged frames, 12–48."
    remedy = (
        "Copy or download a damaged file again. Cut one that changes where it changes. Or remove "
        "the sample."
    )
    needs = frozenset({Need.FRAMES, Need.TIMESTAMPS})
    opt_in = True

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan, frames = subject.scan, len(subject.frames)
        if subject.media.cut_off:
            return  # its last frame is damaged, and the file has a finding of its own
        parts = []
        if scan.damaged:
            parts.append(str(FrameDamage(scan.damaged, scan.complaint or "")))
        elif scan.complaint:
            parts.append(f"the decoder says: {scan.complaint}")
        if scan.decoded < frames:
            parts.append(f"only {scan.decoded} of {frames} frames decode")
        parts += scan.changes
        if parts:
            yield self.finding(
                subject,
                "; ".join(parts),
                damaged=len(scan.damaged),
                decoded=scan.decoded,
                changes=list(scan.changes),
            )
