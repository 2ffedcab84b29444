"""VP204: captions differ."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, Severity


class DuplicateCaption(DatasetValidator):
    """Captions are compared without regard to case and spaces."""

    code = Code.DUPLICATE_CAPTION.value
    name = "duplicate-caption"
    severity = Severity.NOTE
    summary = "No caption is used for several videos."
    why = "A caption that fits every clip tells the model nothing; often a copy went wrong."
    example = "“A video.” a hundred times; the caption of the line above."
    remedy = "Write what is different in each clip, if the caption was not meant for all of them."
    needs = frozenset({Need.CAPTION})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        for first, *others in overview.same_captions():
            line = overview.samples[first].source.line
            for other in others:
                message = f"the same caption as in line {line}; {len(others) + 1} samples have it"
                yield self.finding(overview.samples[other], message, first_line=line)
