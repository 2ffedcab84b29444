"""VP111: the time from frame to frame is even."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from videoprep.media.remedies import MendingStep
from videoprep.validators.commands import remedy_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class VariableFrameRate(Validator):
    """Here frames are chosen by their times; most trainers count them."""

    code = "VP111"
    name = "variable-frame-rate"
    severity = Severity.WARNING
    summary = "The time from frame to frame is even."
    why = "Frames that are counted and not timed play parts of the video too fast or too slow."
    example = "A screen or phone recording whose frames are 17 to 50 ms apart."
    remedy = (
        "Nothing to do if frames are chosen by time, as they are here. For programs that count "
        "them, make the rate even; the finding gives the command."
    )
    needs = frozenset({Need.TIMESTAMPS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        if not media.variable_frame_rate or media.cut_off:
            return  # an end that is missing leaves gaps, and has a finding of its own
        gaps = np.diff(media.timestamps.seconds())
        kept = "on average" if media.timestamps.steady_intervals() is None else "but for gaps"
        message = f"variable frame rate: {float(media.rate):.3g} frames a second {kept}, "
        message += f"{gaps.min() * 1000:.0f} to {gaps.max() * 1000:.0f} ms apart"
        lead = "nothing to do if frames are chosen by time, as they are here; for programs that "
        lead += "count them, make the rate even"
        remedy = remedy_for(subject, lead, MendingStep.EVEN_TIMES)
        data = {"fps": float(media.rate), "shortest": gaps.min(), "longest": gaps.max()}
        yield self.finding(subject, message, remedy, **data)
