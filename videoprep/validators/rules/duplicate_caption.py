"""VP204: captions differ."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, Severity


class DuplicateCaption(DatasetValidator):
    """Captions are compared without regard to case and spaces."""

    code = "VP204"
    name = "duplicate-caption"
    severity = Severity.NOTE
    summary = "No caption is used for several videos."
    why = "A caption that fits every clip tells the model nothing; often a copy went wrong."
    example = "“A video.” a hundred times; the caption of the line above."
    remedy = "Write what is different in each clip, if the caption was not meant for all of them."
    needs = frozenset({Need.CAPTION})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        for first, *others in overview.same_captions():
            known = overview.samples[first].caption_source
            for other in others:
                sample = overview.samples[other]
                place = known.seen_from(sample.caption_source)
                message = f"the same caption as in {place}; {len(others) + 1} samples have it"
                yield self.finding(sample, message, first_line=known.line)
