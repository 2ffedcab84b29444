"""VP315 and VP316: control media and masks show what the clip shows, all of it."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Subject, Validator


class _CannotFollow(Validator):
    """Reports why a medium that is aligned in frames cannot follow the clip."""

    needs = frozenset({Need.PLAN, Need.MEDIA})
    why = "The clip is skipped: its control or mask would belong to other frames or places."

    def check(self, subject: Subject) -> Iterator[Finding]:
        left_out = subject.left_out
        if left_out is not None and left_out.code.value == self.code:
            yield self.finding(subject, left_out.reason, left_out.remedy)


class NotSpanned(_CannotFollow):
    """Nothing is repeated or slowed down; another rate is no matter."""

    code = Code.NOT_SPANNED.value
    name = "not-spanned"
    summary = "A control or a mask spans the clip; half a frame may be missing."
    example = "A video of 49 frames whose mask has 48; a depth video of the first 2 s."
    remedy = (
        "Make it as long as the video, choose a range that it spans, or leave the cell empty. A "
        "still image goes with all frames."
    )


class OtherAspect(_CannotFollow):
    """Another resolution is no matter."""

    code = Code.OTHER_ASPECT.value
    name = "other-aspect"
    summary = "A control or a mask has the aspect ratio of its video, give or take a hundredth."
    example = "A mask of 512×512 for a video of 1280×720."
    remedy = "Make it of the whole picture of the video, in any resolution."
