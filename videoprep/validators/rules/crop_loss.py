"""VP306: fitting cuts little of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pydantic import Field

from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class CropLossOptions(RuleOptions):
    """Options of `CropLoss`."""

    share: float = Field(default=0.2, ge=0, le=1, description="share of the picture that may go")


class CropLoss(Validator):
    """A portrait video in a landscape bucket loses head and feet."""

    code = "VP306"
    name = "crop-loss"
    severity = Severity.WARNING
    summary = "At most a fifth of the picture is cut."
    why = "The caption speaks of things that are no longer in the picture."
    example = "1080×1920 into 480×704: 62 % is cut."
    remedy = (
        "Add a bucket of the clip's shape; or, if more may be cut, say so with "
        "`rule_options={'VP306': {'share': 0.5}}`."
    )
    needs = frozenset({Need.HEADER, Need.PLAN})
    Options = CropLossOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        if not subject.clips:
            return
        # The same in all of them, but for `multi_bucket`.
        worst = min(subject.clips, key=lambda clip: clip.crop.width * clip.crop.height)
        crop, bucket = worst.crop, worst.bucket
        lost = 1 - crop.width * crop.height / (media.width * media.height)
        if lost > self.options.share:
            width, height = media.shown_size
            message = f"{lost:.0%} of the picture is cut to fit {width}×{height} into "
            message += f"{bucket.width}×{bucket.height}"
            enough = ceil(10 * lost) / 10
            remedy = "add a bucket of the clip's shape; or, if more may be cut, say so with "
            remedy += f"`rule_options={{'VP306': {{'share': {enough:g}}}}}`"
            yield self.finding(subject, message, remedy, lost=round(lost, 4))
