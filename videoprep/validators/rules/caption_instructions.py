"""VP212: captions hold nothing of the prompt or of the chat."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.phrases import instructions, refusal
from videoprep.validators.protocol import Finding, Severity, Subject, Validator

_SHOWN = 80


class CaptionInstructions(Validator):
    """Prefaces, labels, think tags, JSON, and sentences of well-known captioning prompts."""

    code = "VP212"
    name = "caption-instructions"
    severity = Severity.WARNING
    summary = (
        "Captions hold no preface, label, JSON, thoughts, instructions or examples of a prompt."
    )
    why = "They say nothing of the clip, and prompts written later will not have them."
    example = "Here is a caption:   ·   <think>   ·   in the style of the examples   ·   Caption:"
    remedy = "Delete all but the caption itself."

    def check(self, subject: Subject) -> Iterator[Finding]:
        words = instructions(subject.sample.written)
        if words is not None and refusal(subject.sample.written) is None:  # VP211 says it
            yield self.finding(subject, f"the caption holds {words.strip()[:_SHOWN]!r}")
