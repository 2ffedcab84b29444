"""VP216: captions are complete."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Severity, Subject, Validator
from videoprep.validators.sentences import lacks_last_stop, open_end


class CaptionCutOff(Validator):
    """Tags and titles have no full stop, and are let pass; so is a last word that may end one."""

    code = "VP216"
    name = "caption-cut-off"
    severity = Severity.WARNING
    summary = "No caption ends in the middle of a sentence."
    why = "The model that wrote it ran into its token limit; the end of the clip is not described."
    example = "A man walks his dog along the beach. The dog runs towards the"
    remedy = "Finish the sentence or delete it; raise the captioner's limit of tokens."

    def check(self, subject: Subject) -> Iterator[Finding]:
        caption = subject.sample.written
        end = open_end(caption)
        if end is not None:
            yield self.finding(subject, f"the caption ends in the middle of a sentence, at {end!r}")
        elif lacks_last_stop(caption):
            message = "the last of several sentences has no end"
            yield self.finding(subject, message, severity=Severity.NOTE)
