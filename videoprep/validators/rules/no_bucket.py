"""VP301 to VP303, VP310, VP313, VP314: the clip fits a bucket, and lies in the video."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Subject, Validator


class _LeftOutBecause(Validator):
    """Reports the plan's own reason for leaving a clip out, where it is this rule's."""

    needs = frozenset({Need.PLAN})
    why = "The clip is skipped."

    def check(self, subject: Subject) -> Iterator[Finding]:
        left_out = subject.left_out
        if left_out is not None and left_out.code.value == self.code:
            yield self.finding(subject, left_out.reason, left_out.remedy)


class TooSmall(_LeftOutBecause):
    """Nothing is enlarged unasked."""

    code = Code.TOO_SMALL.value
    name = "too-small"
    summary = "The clip fits a bucket without being enlarged."
    example = "320×240 with the only bucket 480×704."
    remedy = (
        "Add a smaller bucket, replace the file by its original, allow enlarging with "
        "`allow_upscale`, or remove the sample."
    )


class TooShort(_LeftOutBecause):
    """Nothing is slowed down or repeated."""

    code = Code.TOO_SHORT.value
    name = "too-short"
    summary = "The clip has at least as many frames as the smallest frame bucket."
    example = "33 frames with `frame_buckets=[49]`."
    remedy = "Add a smaller bucket with `frame_buckets`, or remove the sample."


class NoExactBucket(_LeftOutBecause):
    """Without consent to reshape a clip needs a bucket of its own size."""

    code = Code.NO_EXACT_BUCKET.value
    name = "no-exact-bucket"
    summary = "With `reshape='none'`, one of the buckets has exactly the clip's size."
    example = "704×480 with the only bucket 256×384, and no consent to reshape."
    remedy = "Add this size to the buckets, or allow fitting with `reshape='center-crop'`."


class RangeOutside(_LeftOutBecause):
    """A caption that speaks of a part of the video which is not there."""

    code = Code.RANGE_OUTSIDE.value
    name = "range-outside"
    summary = "A sample's time range lies in its video; half a second may be missing at the end."
    why = "The clip is skipped: the caption would be trained on something else."
    example = (
        "start 12, end 17 (seconds) in a video of 10 s; frames written where seconds are read."
    )
    remedy = "Correct the row's start and end, or say with `time_unit` what they are in."


class FewPixels(_LeftOutBecause):
    """Only with `min_pixels`."""

    code = Code.FEW_PIXELS.value
    name = "few-pixels"
    summary = "The video has at least `min_pixels` pixels (height × width), if that is set."
    example = "320×240, which are 76800 pixels, with `min_pixels=100000`."
    remedy = "Replace the file by its original, lower `min_pixels`, or remove the sample."


class LittleKept(_LeftOutBecause):
    """Chosen buckets follow the most clips; one that is unlike them would be ruined."""

    code = Code.LITTLE_KEPT.value
    name = "little-kept"
    summary = (
        "With `buckets='auto'`, the bucket keeps at least half as many of the clip's pixels as one "
        "of its own size would."
    )
    example = "854×480 with `num_buckets=1`, where all others are 320×240: 16 % would be left."
    remedy = (
        "Raise `num_buckets`, lower `min_kept`, list a bucket of its size with `buckets`, or "
        "remove the sample."
    )
