"""VP211: captions are no refusals."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.phrases import refusal
from videoprep.validators.protocol import Finding, Subject, Validator


class CaptionRefusal(Validator):
    """Only the beginning is looked at, and nothing that is quoted: a person may say sorry."""

    code = "VP211"
    name = "caption-refusal"
    summary = "No caption is a model's refusal to write one."
    why = "The model would learn to make this clip of an apology."
    example = "I'm sorry, but I can't help with that.   ·   As an AI, I cannot view videos."
    remedy = "Write a caption, ask another model, or remove the sample."

    def check(self, subject: Subject) -> Iterator[Finding]:
        words = refusal(subject.sample.written)
        if words is not None:
            yield self.finding(subject, f"the caption is a refusal: {words!r}")
