"""VP109: a file that opens holds all that its header announces."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, ReaderRule, Subject, Validator


class Truncated(ReaderRule, Validator):
    """The end is missing: the copy or download was not finished."""

    code = Code.TRUNCATED.value
    name = "truncated"
    summary = "The file holds all that its header announces."
    why = "Frames that are missing are not seen until the clip is decoded, or not at all."
    example = "An MP4 file whose header announces 49 frames and which ends after 30."
    remedy = "Copy or download the file again."
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        if media.cut_off:
            announced = f", its header announces {media.header_frames}"
            message = f"the file is cut off after {media.frames} frames"
            yield self.finding(subject, message + (announced if media.header_frames else ""))
