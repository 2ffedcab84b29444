"""VP126: the clip is one take."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from videoprep.text import counted
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator


class HardCutOptions(RuleOptions):
    """Options of `HardCut`."""

    jump: int = Field(default=76, ge=0, le=255, description="difference of colours that is a cut")
    change: float = Field(default=16.0, ge=0, description="mean change in luma levels with it")


class HardCut(Validator):
    """At a cut both the colours and the picture change at once."""

    code = "VP126"
    name = "hard-cut"
    severity = Severity.WARNING
    summary = "There is no cut inside the clip."
    why = "The model learns to change the scene in the middle of a clip."
    example = "A trailer cut into pieces of equal length instead of at its cuts."
    remedy = "Split the file at the frames that the finding names."
    needs = frozenset({Need.FRAMES})
    opt_in = True
    Options = HardCutOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        scan = subject.scan
        cut = (scan.jump >= self.options.jump) & (scan.change >= 4 * self.options.change)
        frames = np.flatnonzero(cut[1:]) + 1 + subject.frames.start
        if len(frames):
            shown = ", ".join(map(str, frames[:10])) + (", …" if len(frames) > 10 else "")
            message = f"{counted(len(frames), 'cut')}, at frame {shown}"
            yield self.finding(subject, message, frames=frames[:100].tolist())
