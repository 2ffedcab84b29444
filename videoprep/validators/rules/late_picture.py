"""VP131: the picture starts with the file."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator

# Encoders of sound put less than this before the first frame.
_LATE_SECONDS = 0.1


class LatePicture(Validator):
    """Here start and end times count from where the file begins, as in players."""

    code = "VP131"
    name = "late-picture"
    severity = Severity.NOTE
    summary = "The picture starts with the file."
    why = "Programs that count frames take start and end times for moments that are later."
    example = "A part of a stream that was cut out without encoding: 3 s of sound come first."
    remedy = (
        "Nothing to do if start and end are a player's times; choose `time_zero='first-frame'` if "
        "they count from the first frame."
    )
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        late = float(subject.media.picture_start)
        if late > _LATE_SECONDS:
            message = f"the picture starts {late:.2f} s after the beginning of the file"
            yield self.finding(subject, message, seconds=late)
