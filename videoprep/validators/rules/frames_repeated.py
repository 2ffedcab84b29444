"""VP304: the wanted frame rate is not above the file's own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class FramesRepeated(Validator):
    """The clip keeps its speed, but some of its frames stand for two moments: it stutters."""

    code = "VP304"
    name = "frames-repeated"
    severity = Severity.WARNING
    summary = "The target frame rate is not above the file's own."
    why = "The model learns to stutter."
    example = "A file of 8 frames a second with `target_fps=16`: every other frame is a copy."
    remedy = "Lower `target_fps` to the file's own rate."
    needs = frozenset({Need.PLAN, Need.TIMESTAMPS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        if not subject.clips or subject.policy.target_fps is None or subject.media.is_still:
            return
        used = sum(len(clip.frame_indices) for clip in subject.clips)
        repeated = used - sum(len(np.unique(clip.frame_indices)) for clip in subject.clips)
        rate = subject.policy.target_fps
        if repeated and subject.clips[0].rate == rate > subject.media.rate:
            own = float(subject.media.rate)
            yield self.finding(
                subject,
                f"at {float(rate):g} frames a second, {repeated} of {used} frames repeat the "
                f"one before: the file has {own:g}",
                f"use `target_fps={own:g}` or less",
                repeated=repeated,
                frames=used,
            )
