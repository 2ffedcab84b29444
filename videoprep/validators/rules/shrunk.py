"""VP312: a clip is not shrunk far below its size."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from pydantic import Field

from videoprep.media.geometry import square_size
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class ShrunkOptions(RuleOptions):
    """Options of `Shrunk`."""

    share: float = Field(default=0.25, ge=0, le=1, description="share of the pixels that is left")


class Shrunk(Validator):
    """The limit is relative to the clip's size or the largest bucket, whichever is smaller."""

    code = "VP312"
    name = "shrunk"
    severity = Severity.WARNING
    summary = "A clip keeps a quarter of its pixels if there are buckets that large."
    why = "Details that the caption speaks of are gone, and the model learns a blurred picture."
    example = "854×480 into 208×320, although there is a bucket of 480×832."
    remedy = (
        "Add a bucket of about the clip's size with `buckets`; with `buckets='auto'` raise "
        "`num_buckets`, or leave smaller clips out with `min_pixels`."
    )
    needs = frozenset({Need.HEADER, Need.PLAN})
    Options = ShrunkOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        policy = subject.policy
        sizes = (policy.of_stills if subject.media.is_still else policy.of_videos).sizes
        if not subject.clips or not sizes:
            return
        crop, fit = subject.clips[0].crop, subject.clips[0].fit  # the same in all of them
        width, height = square_size(crop.width, crop.height, subject.media.pixel_aspect)
        largest = max(sizes, key=lambda size: (size[0] * size[1], size))
        share = fit.width * fit.height / min(width * height, largest[0] * largest[1])
        if share >= self.options.share:
            return
        message = f"{width}×{height} is scaled to {fit.width}×{fit.height}: "
        message += f"{fit.width * fit.height / (width * height):.0%} of its pixels are left, and "
        message += f"there are buckets of up to {largest[1]}×{largest[0]}"
        remedy = self._remedy(subject, largest[0] * largest[1])
        yield self.finding(subject, message, remedy, share=round(share, 4))

    def _remedy(self, subject: Subject, most: int) -> str:
        policy, frames = subject.policy, subject.clips[0].bucket.frames
        width, height = subject.media.shown_size
        scale = min(1, sqrt(most / (width * height)))
        size = policy.profile.size_within(int(width * scale), int(height * scale))
        if policy.chosen or size is None:
            return self.remedy
        return f"add a bucket of about its size to `buckets`, such as {frames}x{size[1]}x{size[0]}"
