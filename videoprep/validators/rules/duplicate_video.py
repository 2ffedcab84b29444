"""VP013: no video is named twice."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.spec.sample import Sample
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, Severity

_IN_TWO_DATASETS = "remove it from one of the datasets, unless it is meant to come in both"


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
                told = known.source.seen_from(sample.source)
                place = overview.seen_from(first, other, told)
                message = f"the same file as in {place}{spelling}{_shared(sample, known)}"
                remedy = None if place == told else _IN_TWO_DATASETS
                yield self.finding(sample, message, remedy, first_line=known.source.line)


def _shared(sample: Sample, known: Sample) -> str:
    """Say which captions both samples have; empty if none."""
    texts = sample.texts
    shared = [number for number, text in enumerate(texts, 1) if text in known.texts]
    if not shared:
        return ""
    if len(texts) == 1:
        return ", with the same caption"
    if set(texts) == set(known.texts):
        return ", with the same captions"
    noun = "caption" if len(shared) == 1 else "captions"
    return f", with {noun} {', '.join(map(str, shared))} of {len(texts)} in common"
