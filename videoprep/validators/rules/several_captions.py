"""VP209: how many captions samples have."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, Severity


class SeveralCaptions(DatasetValidator):
    """All captions of a sample are read. The first one is encoded."""

    code = "VP209"
    name = "several-captions"
    severity = Severity.NOTE
    summary = "Every sample has one caption."
    why = "Only the first caption of a sample is encoded; the model never sees the others."
    example = "A caption file of three lines; a list of captions in a cell."
    remedy = (
        "Nothing, if the first is the one that is meant. If the lines of a caption file are one "
        "caption, set `caption_lines='one'`."
    )
    needs = frozenset({Need.CAPTION})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        counts = [1 + len(sample.further) for sample in overview.samples if sample.further]
        if counts:
            most = max(counts)
            span = f"up to {most}" if most > 2 else "2"
            samples = f"{len(counts)} of {len(overview.samples)} samples have"
            yield self.finding(
                overview.list_file,
                f"{samples} several captions, {span} each: the first is encoded",
                samples=len(counts),
                most=most,
            )
