"""VP217: a caption that speaks of motion belongs to a clip that moves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from videoprep.media.frame_scan import count_still
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator
from videoprep.validators.sentences import unquoted

_MOTION = re.compile(
    r"\b(?:walk|run|jump|leap|danc|driv|danc|fly|swim|rac|gallop|spin|rotat|whirl|twirl|sprint|jog"
    r"|climb|crawl|danc|skat|surf|ski|slid|roll|bounc|chas|hop|flow|pour|explod|crash|wav|flutter"
    r"|soar|dash|rush|stroll|march|zoom|pann)(?:n|m|l|p|t)?(?:ing|s|es)\b"
    r"|\b(?:flies|runs|hurries|flees|speeds|moves|moving)\b",
    re.IGNORECASE,
)
_STILLNESS = re.compile(
    r"\b(?:still|static|motionless|frozen|unmoving|stationary|paus(?:es|ed)|photo(?:graph)?"
    r"|painting"
    r"|poster|statue|sculpture|drawing|illustration|picture|mural|freeze[- ]frame)s?\b",
    re.IGNORECASE,
)
# Nouns and names of things: "ocean waves", "running shoes", "a driving licence".
_THINGS = re.compile(
    r"\b(?:(?:running|walking|dancing|swimming|racing|driving|climbing|hiking|skating|rolling"
    r"|flying"
    r"|spinning|sliding|pouring) (?:shoes?|sticks?|stick|pools?|suits?|shorts|cars?"
    r"|licen[cs]es?|gear"
    r"|boots?|poles?|pins?|hills?|saucers?|wheels?|doors?|tracks?|trails?|trunks)|drives|races|runs"
    r" (?:along|through|between|across|around) the (?:wall|edge|middle|side|border))\b",
    re.IGNORECASE,
)


class MotionOnStillOptions(RuleOptions):
    """Options of `MotionOnStill`."""

    change: float = Field(
        default=0.25, ge=0, description="mean change in luma levels that counts as none"
    )
    share: float = Field(default=0.9, ge=0, le=1, description="share of still frames to report")


class MotionOnStill(Validator):
    """Frames of a sample's time range are looked at."""

    code = "VP217"
    name = "motion-on-still"
    severity = Severity.WARNING
    summary = "A caption that speaks of motion belongs to a clip that moves."
    why = "The model learns that “running” is a picture that stands still."
    example = "“A dog runs along the beach.” for a clip in which nothing moves."
    remedy = "Describe the picture as it is, or remove the sample."
    needs = frozenset({Need.CAPTION, Need.FRAMES})
    opt_in = True
    Options = MotionOnStillOptions

    def check(self, subject: Subject) -> Iterator[Finding]:
        word = motion_word(subject.sample.written)
        if word is None:
            return
        if subject.media.is_still:
            yield self.finding(subject, f"the caption says {word!r} of a still image", word=word)
            return
        change = subject.scan.change[1:]  # the first frame has none before it
        still = count_still(change, self.options.change)
        if len(change) and still >= self.options.share * len(change):
            message = f"the caption says {word!r}, but {still} of {len(change)} frames do not move"
            yield self.finding(subject, message, word=word, frames=still)


def motion_word(caption: str) -> str | None:
    """Return the first word for a motion, or None if there is none or the caption says still."""
    found = _MOTION.search(caption)
    if found is None:
        return None
    text = unquoted(caption)
    if _STILLNESS.search(text):
        return None
    found = _MOTION.search(_THINGS.sub(" ", text))
    return found.group() if found else None
