"""VP201: captions are not empty."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, ReaderRule, Subject, Validator


class EmptyCaption(ReaderRule, Validator):
    """An empty cell of a table is reported when it is read; this finds what only looks full."""

    code = Code.EMPTY_CAPTION.value
    name = "empty-caption"
    summary = "Every caption has at least one letter or digit."
    why = "The model would learn the clip as what it makes when nothing is asked for."
    example = "An empty cell; a caption of dashes, or of characters that cannot be seen."
    remedy = "Write a caption, remove the sample, or set `caption_fallback`."
    needs = frozenset({Need.CAPTION})

    def check(self, subject: Subject) -> Iterator[Finding]:
        caption = subject.sample.written
        if not any(char.isalnum() or unicodedata.category(char)[0] in "LNS" for char in caption):
            yield self.finding(subject, "the caption says nothing")
