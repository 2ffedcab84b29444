"""VP120: the file's frame rate is not far from the target."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class RateOptions(RuleOptions):
    """Options of `RateFarFromTarget`."""

    factor: float = Field(default=4.0, gt=1, description="how many times the target is far")


class RateFarFromTarget(Validator):
    """Time is kept, but most frames are dropped, or the file is a time lapse or in slow motion."""

    code = "VP120"
    name = "rate-far-from-target"
    severity = Severity.WARNING
    summary = "With `target_fps`, the file's frame rate is less than four times it."
    why = "Between the frames that are taken lies much movement; slow motion looks odd beside it."
    example = "A recording of 240 frames a second with `target_fps=8`."
    remedy = "Raise `target_fps`, or check that the file's rate is right."
    needs = frozenset({Need.TIMESTAMPS})
    Options = RateOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        target, own = subject.policy.target_fps, subject.media.fps
        if target is not None and own is not None and own > target * self.options.factor:
            times = float(own / target)
            message = f"{float(own):g} frames a second, {times:.1f} times the target"
            yield self.finding(subject, message, fps=float(own), target=float(target))
