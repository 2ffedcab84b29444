"""VP135: a clip with a sound track is heard."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.media.sound_scan import NOTHING, decibels
from videoprep.validators.hearing import clip_stretches
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class SilentSoundOptions(RuleOptions):
    """Options of `SilentSound`."""

    level: float = Field(
        default=-60.0, le=0, description="decibels below which a tenth of a second is silent"
    )
    share: float = Field(default=0.95, ge=0, le=1, description="share of a clip that may be silent")


class SilentSound(Validator):
    """A clip without a sound track has no sound, and says so; one with a silent track has silence.

    The level is that of the root of the mean square, and 0 dB is full scale.
    """

    code = "VP135"
    name = "silent-sound"
    severity = Severity.WARNING
    summary = "At most 95 % of a clip with a sound track is below −60 dB."
    why = "The model learns that what is seen makes no sound."
    example = "A screen recording with an empty track; a camera whose microphone was off."
    remedy = "Remove the sound track, or replace it by the sound: without one the clip says so."
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS, Need.PLAN, Need.MEDIA, Need.SOUND})
    opt_in = True
    Options = SilentSoundOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan = subject.sound_scan
        if scan is None:
            return
        silent, clips, loudest = 0, 0, -float("inf")
        for part in clip_stretches(subject, scan):
            levels = scan.loudness[part]
            below = (decibels(1.0) * levels < self.options.level).mean()
            clips += 1
            silent += bool(below > self.options.share)
            loudest = max(loudest, decibels(int(levels.min())))
        if silent:
            is_zero = loudest <= decibels(NOTHING)
            level = f"the loudest tenth of a second has {loudest:.1f} dB"
            yield self.finding(
                subject,
                f"its sound is silent in {silent} of {clips} clips; "
                f"{'all of its samples are zero' if is_zero else level}",
                clips=silent,
                loudest=loudest,
            )
