"""VP209: how many captions samples have."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, ReaderRule, Severity

_OF_CELLS = "nothing, if they are meant to be captions of their own; if not, leave one of them"


class SeveralCaptions(ReaderRule, DatasetValidator):
    """All captions of a sample are encoded. Empty ones in a list are left out."""

    code = Code.SEVERAL_CAPTIONS.value
    name = "several-captions"
    severity = Severity.NOTE
    summary = "Every sample has one caption."
    why = (
        "Training draws one of a sample's captions each time the sample comes; most other trainers "
        "take only the first."
    )
    example = "A caption file of three lines; a list of captions in a cell."
    remedy = (
        "Nothing, if they are meant to be captions of their own. If the lines of a caption file "
        "are one caption, set `caption_lines='one'`."
    )
    needs = frozenset({Need.CAPTION})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        counts = [1 + len(sample.further) for sample in overview.samples if sample.further]
        if counts:
            most = max(counts)
            span = f"up to {most}" if most > 2 else "2"
            usable = "usable " if len(overview.samples) < overview.total else ""
            have = "has" if len(counts) == 1 else "have"
            samples = f"{len(counts)} of {len(overview.samples)} {usable}samples {have}"
            yield self.finding(
                overview.list_file,
                f"{samples} several captions, {span} each: one is drawn each time",
                None if _of_lines(overview) else _OF_CELLS,
                samples=len(counts),
                most=most,
            )


def _of_lines(overview: Overview) -> bool:
    """Whether lines of caption files are among them, which may be one caption."""
    return any(
        sample.caption_file.endswith(".txt") for sample in overview.samples if sample.further
    )
