"""VP204: captions differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from videoprep.spec.sample import CaptionOrigin, Sample
from videoprep.text import escape_unprintable
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, RuleOptions, Severity

_SHOWN = 100


class DuplicateCaptionOptions(RuleOptions):
    """Options of `DuplicateCaption`."""

    clips: int = Field(
        default=3, ge=2, description="different clips with one caption of one model to warn about"
    )


class DuplicateCaption(DatasetValidator):
    """Captions are compared without regard to case and spaces; of several, each.

    If one run of one model wrote the same caption for several different clips, it is named, and the
    finding is a warning: a server that answers everything alike is broken.
    """

    code = "VP204"
    name = "duplicate-caption"
    severity = Severity.NOTE
    summary = "No caption is used for several videos."
    why = "A caption that fits every clip tells the model nothing; often a copy went wrong."
    example = "“A video.” a hundred times; the caption of the line above."
    remedy = "Write what is different in each clip, if the caption was not meant for all of them."
    needs = frozenset({Need.CAPTION})
    Options = DuplicateCaptionOptions

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        for group in overview.same_captions():
            samples = [overview.samples[place.sample] for place in group]
            captions = [
                sample.with_caption_alone(place.number)
                for sample, place in zip(samples, group, strict=True)
            ]
            known = captions[0].caption_source
            origin = _common_origin(captions)
            positions = [place.sample for place in group]
            clips = overview.different_clips(positions) if origin is not None else 0
            severity = Severity.WARNING if clips >= self.options.clips else None
            by = f"; {_named(origin)} wrote it for {clips} clips" if origin is not None else ""
            which = f" (caption {group[0].number + 1})" if samples[0].further else ""
            for sample, caption, (other, number) in zip(
                samples[1:], captions[1:], group[1:], strict=True
            ):
                told = f"{known.seen_from(caption.caption_source)}{which}"
                place = overview.seen_from(group[0].sample, other, told)
                message = f"the same caption as in {place}; {len(group)} samples have it{by}"
                found = self.finding(caption, message, severity=severity, first_line=known.line)
                yield found.about_caption(number + 1, len(sample.captions))


def _named(origin: CaptionOrigin) -> str:
    """Return the model and its run; a stranger may have written the journal."""
    return f"{escape_unprintable(origin.model[:_SHOWN], keep='')} in run {origin.run}"


def _common_origin(samples: Sequence[Sample]) -> CaptionOrigin | None:
    """Return where the captions of some samples come from if one run wrote all, or None."""
    origin = samples[0].origin
    if origin is None or not origin.model:
        return None
    asked = (origin.model, origin.run)
    for sample in samples:
        other = sample.origin
        if other is None or (other.model, other.run) != asked:
            return None
    return origin
