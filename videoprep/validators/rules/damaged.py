"""VP122: every frame decodes."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Subject, Validator


class Damaged(Validator):
    """Decoders hide damage: blocks that are lost are copied from elsewhere."""

    code = Code.DAMAGED.value
    name = "damaged"
    summary = "Every frame decodes without an error."
    why = "Concealed damage looks like smears and blocks, and the model learns them."
    example = "A download with wrong bytes in the middle: 10 errors, “a frame is damaged”."
    remedy = "Copy or download the file again, or remove the sample."
    needs = frozenset({Need.FRAMES, Need.TIMESTAMPS})
    opt_in = True

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan, frames = subject.scan, subject.media.frames
        if subject.media.cut_off:
            return  # its last frame is damaged, and the file has a finding of its own
        parts = []
        if scan.errors:
            parts.append(f"{scan.errors} decoding errors, the first: {scan.first_error}")
        if scan.decoded < frames:
            parts.append(f"only {scan.decoded} of {frames} frames decode")
        if parts:
            message = "; ".join(parts)
            yield self.finding(subject, message, errors=scan.errors, decoded=scan.decoded)
