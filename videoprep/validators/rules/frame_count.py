"""VP102: the number of frames keeps the profile's rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from videoprep.errors import Code
from videoprep.index.placement import Placement, frames_used
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class FrameCount(Validator):
    """Without consent to reshape a breach is an error; with it, a note of what is left over."""

    code = Code.FRAME_COUNT.value
    name = "frame-count"
    summary = "The number of frames keeps the profile's rule (default: 4k or 4k+1)."
    why = (
        "The VAE compresses four frames into one latent, the first one apart. Trainers that are "
        "off by one drop the clip or crash."
    )
    example = "390 frames are neither 4k nor 4k+1; 389 and 392 are."
    remedy = "Allow fitting with `reshape='center-crop'`, or trim the file."
    needs = frozenset({Need.TIMESTAMPS, Need.PLAN})

    def check(self, subject: Subject) -> Iterator[Finding]:
        frames, profile = subject.media.frames, subject.policy.profile
        if profile.accepts_frames(frames):
            return
        nearest = profile.nearest_frames(frames)
        data: dict[str, Any] = {"frames": frames, "nearest": nearest}
        rule = profile.frame_rule()
        broken = f"{frames} frames are neither {rule.replace(' or ', ' nor ')}"
        if " or " not in rule:
            broken = f"{frames} frames are not {rule}"
        if subject.policy.reshape == "none":
            remedy = f"nearest legal counts: {', '.join(map(str, nearest))}; "
            remedy += "trim the file, or allow fitting with `reshape='center-crop'`"
            yield self.finding(subject, broken, remedy, **data)
        elif subject.clips:
            message = f"{broken}: {_unused(subject.clips)}"
            yield self.finding(subject, message, "nothing to do", severity=Severity.NOTE, **data)


def _unused(clips: Sequence[Placement]) -> str:
    used, available = frames_used(clips), clips[0].available
    unused = available - used
    return f"{used} will be used, {unused} of {available} ({unused / available:.1%}) will not"
