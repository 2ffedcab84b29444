"""VP125: the picture has edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class BlurredOptions(RuleOptions):
    """Options of `Blurred`."""

    sharpness: int = Field(
        default=110, ge=0, le=255, description="median sharpness below which it is blurred"
    )


class Blurred(Validator):
    """Measured on a small picture, so that noise and grain do not count as edges."""

    code = "VP125"
    name = "blurred"
    severity = Severity.WARNING
    summary = "Half of the frames at least are sharp."
    why = "The model learns to blur."
    example = "A video enlarged many times; a camera out of focus."
    remedy = "Remove the sample, or replace it with the original."
    needs = frozenset({Need.FRAMES})
    opt_in = True
    Options = BlurredOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan = subject.scan
        lit = scan.sharpness[scan.contrast > 8]  # an empty picture has no edges to lose
        if len(lit) and (sharpness := int(np.median(lit))) < self.options.sharpness:
            message = f"its sharpness is {sharpness}, below {self.options.sharpness}"
            yield self.finding(subject, message, sharpness=sharpness)
