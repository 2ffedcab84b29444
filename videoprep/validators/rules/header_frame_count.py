"""VP110: the header announces as many frames as there are."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class HeaderFrameCount(Validator):
    """The true count is used here; programs that believe the header count otherwise."""

    code = "VP110"
    name = "header-frame-count"
    severity = Severity.NOTE
    summary = "The header announces as many frames as are shown."
    why = "Programs that believe the header ask for frames that do not exist, and skip the clip."
    example = "A clip trimmed without re-encoding: the header says 120 frames, 105 are shown."
    remedy = "Re-encode the file if other programs are to read it; here the true count is used."
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        announced = media.header_frames
        if announced and announced != media.frames and not media.cut_off:
            message = f"the header announces {announced} frames, {media.frames} are shown"
            yield self.finding(subject, message, header=announced, frames=media.frames)
