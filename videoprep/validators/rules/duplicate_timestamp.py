"""VP132: each frame has a time of its own."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.media.commands import TIMED_ANEW, for_file
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class DuplicateTimestamp(Validator):
    """Of frames at one time the first is used, and a frame before the first is not used."""

    code = "VP132"
    name = "duplicate-timestamp"
    severity = Severity.WARNING
    summary = "Each frame has a time of its own."
    why = "Players show only one of the frames that share a timestamp, and so do clips."
    example = "Two files joined without encoding: where they meet, frames share their times."
    remedy = "Rewrite the timestamps with the command in the finding."
    needs = frozenset({Need.TIMESTAMPS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        left_out = media.repeated_times
        if left_out:
            whole = left_out + media.frames
            message = f"{left_out} of its {whole} frames have no time of their own and are not used"
            command = for_file(TIMED_ANEW, subject.sample.path)
            remedy = f"give the frames times anew: {command}"
            yield self.finding(subject, message, remedy, left_out=left_out, frames=whole)
