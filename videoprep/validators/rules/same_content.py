"""VP127: no two files hold the same video."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, Severity


class SameContent(DatasetValidator):
    """Copies of a file, byte by byte; one file named twice is `VP013`."""

    code = "VP127"
    name = "same-content"
    severity = Severity.WARNING
    summary = "No two files hold the same bytes."
    why = "The clip weighs twice in training, or leaks from the training into the validation set."
    example = "00017.mp4 is a copy of 00003.mp4."
    remedy = "Delete one of the samples, unless the clip is meant to have several captions."
    needs = frozenset({Need.HEADER})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        for first, *others in overview.same_contents():
            known = overview.samples[first]
            for other in others:
                if (overview.identities[first] == overview.identities[other]).all():
                    continue
                sample = overview.samples[other]
                place = known.source.seen_from(sample.source)
                message = f"the same contents as {known.name} in {place}"
                yield self.finding(sample, message, first_line=known.source.line)
