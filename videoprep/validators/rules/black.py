"""VP123: few frames are black."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class BlackOptions(RuleOptions):
    """Options of `Black`."""

    level: int = Field(default=16, ge=0, le=255, description="mean luma that counts as black")
    contrast: int = Field(default=8, ge=0, le=255, description="contrast below which it is empty")
    share: float = Field(default=0.1, ge=0, le=1, description="share of frames that may be black")


class Black(Validator):
    """Fades and leaders have nothing that a caption speaks of."""

    code = "VP123"
    name = "black"
    severity = Severity.WARNING
    summary = "At most a tenth of the frames are black."
    why = "The model learns to answer the caption with darkness."
    example = "A clip that starts with a fade from black."
    remedy = "Trim the file, or remove the sample."
    needs = frozenset({Need.FRAMES})
    opt_in = True
    Options = BlackOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan = subject.scan
        black = (scan.brightness <= self.options.level) & (scan.contrast <= self.options.contrast)
        count = int(black.sum())
        if count > self.options.share * len(black):
            yield self.finding(subject, f"{count} of {len(black)} frames are black", frames=count)
