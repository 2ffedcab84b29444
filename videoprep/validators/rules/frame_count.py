"""VP102: the number of frames keeps the profile's rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from videoprep.errors import Code
from videoprep.index.placement import frames_used
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class FrameCount(Validator):
    """Without consent to reshape a breach is an error; with it, a note of what is left over.

    Of a time range its own frames count, and what is left over of them is a note in any case: who
    names a range asks for a part of the video.
    """

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
        frames, profile = len(subject.frames), subject.policy.profile
        if not frames or profile.accepts_frames(frames):
            return
        nearest = profile.nearest_frames(frames)
        data: dict[str, Any] = {"frames": frames, "nearest": nearest}
        broken = profile.breach(frames)
        extras = subject.sample.extras
        is_range = extras.start is not None or extras.end is not None
        if subject.policy.reshape == "none" and not is_range:
            remedy = f"nearest legal counts: {', '.join(map(str, nearest))}; "
            remedy += "trim the file, or allow fitting with `reshape='center-crop'`"
            yield self.finding(subject, broken, remedy, **data)
        elif subject.clips:
            message = f"{broken}: {_unused(subject)}"
            yield self.finding(subject, message, "nothing to do", severity=Severity.NOTE, **data)


def _unused(subject: Subject) -> str:
    """How many frames are left over, at the rate at which they are used."""
    clips, target = subject.clips, subject.policy.target_fps
    used, available = frames_used(clips), clips[0].available
    unused = available - used
    rate = "" if target in (None, subject.media.rate) else f"at {float(target or 0):g} fps "
    return f"{rate}{used} will be used, {unused} of {available} ({unused / available:.1%}) will not"
