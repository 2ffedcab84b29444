"""VP124: the picture moves."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.media.frame_scan import count_still
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class FrozenOptions(RuleOptions):
    """Options of `Frozen`."""

    change: float = Field(
        default=0.25, ge=0, description="mean change in luma levels that counts as none"
    )
    share: float = Field(default=0.5, ge=0, le=1, description="share of frames that may be still")


class Frozen(Validator):
    """A slide with a zoom is one thing; a picture that does not change at all another."""

    code = "VP124"
    name = "frozen"
    severity = Severity.WARNING
    summary = "At most half of the frames equal the one before."
    why = "The model learns that videos stand still."
    example = "A slide show; a recording whose picture froze."
    remedy = "Trim the file, or remove the sample."
    needs = frozenset({Need.FRAMES})
    opt_in = True
    Options = FrozenOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        change = subject.scan.change[1:]  # the first frame has none before it
        still = count_still(change, self.options.change)
        if len(change) and still > self.options.share * len(change):
            message = f"{still} of {len(change)} frames do not differ from the one before"
            yield self.finding(subject, message, frames=still)
