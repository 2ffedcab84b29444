"""VP013: no video is named twice."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, Severity


class DuplicateVideo(DatasetValidator):
    """Files are compared, not names: other spellings and links are found, too."""

    code = "VP013"
    name = "duplicate-video"
    severity = Severity.WARNING
    summary = "No two samples name the same file, or the same part of it, not even by a link."
    why = "The clip weighs twice in training, or leaks from the training into the validation set."
    example = "videos/a.mp4 and ./videos/a.mp4; a link b.mp4 to a.mp4."
    remedy = "Delete one of the lines, unless the clip is meant to have several captions."
    needs = frozenset({Need.LISTS})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        for first, *others in overview.same_files():
            known = overview.samples[first]
            for other in others:
                sample = overview.samples[other]
                spelling = f" ({known.name})" if known.name != sample.name else ""
                same = ", with the same caption" if sample.caption == known.caption else ""
                place = known.source.seen_from(sample.source)
                message = f"the same file as in {place}{spelling}{same}"
                yield self.finding(sample, message, first_line=known.source.line)
