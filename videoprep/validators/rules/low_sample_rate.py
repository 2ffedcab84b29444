"""VP137: sound has the sample rate that the family takes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.validators.hearing import wanted_sound
from videoprep.validators.protocol import (
    Finding,
    Need,
    RuleOptions,
    Severity,
    Subject,
    Validator,
)


class LowSampleRateOptions(RuleOptions):
    """Options of `LowSampleRate`."""

    sample_rate: int | None = Field(
        default=None,
        gt=0,
        description="samples a second that sound has at least; by default what models of the "
        "profile's family take",
    )


class LowSampleRate(Validator):
    """More samples can be computed, but not what they would have held: tones above half the rate.

    Nothing is said if the profile's family takes no sound, unless a rate is given.
    """

    code = "VP137"
    name = "low-sample-rate"
    severity = Severity.WARNING
    summary = "Sound has at least as many samples a second as the family's models take."
    why = "The sound is resampled and stays dull: the model learns that such clips sound so."
    example = "A recording of a telephone, 8000 Hz, for a model that takes 16,000."
    remedy = "Replace the sound by its original, or keep such samples out of training with sound."
    needs = frozenset({Need.HEADER, Need.MEDIA})
    Options = LowSampleRateOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        taken = wanted_sound(subject.policy)
        wanted = self.options.sample_rate or (taken.sample_rate if taken is not None else 0)
        audio = subject.audio
        if audio is not None and 0 < audio.sample_rate < wanted:
            yield self.finding(
                subject,
                f"its sound has {audio.sample_rate:,} samples a second, below {wanted:,}",
                sample_rate=audio.sample_rate,
                wanted=wanted,
            )
