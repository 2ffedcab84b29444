"""VP203: captions fit the text encoder."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class CaptionTooLong(Validator):
    """Counted with the named model's own tokenizer; without `model` nothing is counted."""

    code = "VP203"
    name = "caption-too-long"
    severity = Severity.WARNING
    summary = "With `model`, no caption has more tokens than the text encoder takes."
    why = "What is beyond the limit is cut off, and the model never sees it."
    example = "A caption of 310 tokens for CogVideoX, which takes 226."
    remedy = "Shorten the caption; what is cut off is its end."
    needs = frozenset({Need.CAPTION, Need.TOKENS})

    def check(self, subject: Subject) -> Iterator[Finding]:
        tokens, limit = subject.tokens, subject.token_limit
        if tokens is not None and limit is not None and tokens > limit:
            message = f"{tokens} tokens, the model takes {limit}: the last {tokens - limit} are cut"
            yield self.finding(subject, message, tokens=tokens, limit=limit)
