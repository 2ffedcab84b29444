"""VP301, VP302, VP303: the clip fits one of the buckets that were asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from videoprep.errors import Code
from videoprep.index.placement import LeftOut
from videoprep.validators.protocol import Finding, Severity, Subject, Validator


class _LeftOutBecause(Validator):
    """Reports the plan's own reason for leaving a clip out, where it is this rule's."""

    because: ClassVar[Code]

    def check(self, subject: Subject) -> Iterator[Finding]:
        place = subject.place
        if isinstance(place, LeftOut) and place.code is self.because:
            yield subject.finding(self, Severity.ERROR, place.reason, place.remedy)


class TooSmall(_LeftOutBecause):
    """Nothing is enlarged."""

    because = Code.TOO_SMALL
    code = because.value
    name = "too-small"
    summary = "The clip is at least as large as the smallest bucket."


class TooShort(_LeftOutBecause):
    """Nothing is slowed down or repeated."""

    because = Code.TOO_SHORT
    code = because.value
    name = "too-short"
    summary = "The clip has at least as many frames as the smallest frame bucket."


class NoExactBucket(_LeftOutBecause):
    """Without consent to reshape a clip needs a bucket of its own size."""

    because = Code.NO_EXACT_BUCKET
    code = because.value
    name = "no-exact-bucket"
    summary = "With --reshape none, one of the buckets has exactly the clip's size."
