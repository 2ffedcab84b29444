"""VP308: most of the video is used."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.index.placement import frames_used
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class FramesUnusedOptions(RuleOptions):
    """Options of `FramesUnused`."""

    share: float = Field(default=0.5, ge=0, le=1, description="share of frames that may go")


class FramesUnused(Validator):
    """Unless asked for more, one clip is taken from the start; the rest is not seen."""

    code = "VP308"
    name = "frames-unused"
    severity = Severity.WARNING
    summary = "At least half of the video's frames are used."
    why = "The caption may speak of something that happens later."
    example = "49 of 390 frames are used."
    remedy = (
        "Take more clips with `clip_mode='chunk'`, raise `max_num_frames`, or lower `target_fps`."
    )
    needs = frozenset({Need.PLAN})
    Options = FramesUnusedOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        if not subject.clips:
            return
        used, available = frames_used(subject.clips), subject.clips[0].available
        if used < available * (1 - self.options.share):
            message = f"{used} of {available} frames are used, {1 - used / available:.0%} are not"
            yield self.finding(subject, message, used=used, available=available)
