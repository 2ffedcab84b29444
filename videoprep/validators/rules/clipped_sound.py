"""VP136: sound is not clipped."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.media.sound_scan import WINDOWS
from videoprep.validators.hearing import clip_stretches
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class ClippedSoundOptions(RuleOptions):
    """Options of `ClippedSound`."""

    share: float = Field(
        default=0.001, ge=0, le=1, description="share of a clip's samples that may be clipped"
    )


class ClippedSound(Validator):
    """A sample counts as clipped if it and the two before it are at 0.999 of full scale or above.

    A single peak at full scale is that of sound that was made as loud as it can be.
    """

    code = "VP136"
    name = "clipped-sound"
    severity = Severity.WARNING
    summary = "At most one in a thousand samples of a clip's sound is clipped."
    why = "Clipping sounds harsh, and the model learns to make it."
    example = "A concert filmed with a telephone, whose microphone was too close."
    remedy = "Replace the sound by its original, or remove the sample."
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS, Need.PLAN, Need.MEDIA, Need.SOUND})
    opt_in = True
    Options = ClippedSoundOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan = subject.sound_scan
        if scan is None:
            return
        shares = []
        for part in clip_stretches(subject, scan):
            clipped = scan.clipped[part]
            shares.append(
                float(clipped.sum()) * WINDOWS / (len(clipped) * scan.sample_rate * scan.channels)
            )
        over = [share for share in shares if share > self.options.share]
        if over:
            yield self.finding(
                subject,
                f"{max(over):.1%} of the samples are clipped, in {len(over)} of {len(shares)} "
                "clips",
                share=max(over),
                clips=len(over),
            )
