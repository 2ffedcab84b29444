"""VP202: captions are in English."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.language import foreign_language
from videoprep.validators.protocol import Finding, Severity, Subject, Validator


class NotEnglish(Validator):
    """Only what is clearly another language is found; short and mixed captions are let pass."""

    code = "VP202"
    name = "not-english"
    severity = Severity.WARNING
    summary = "Captions are in English."
    why = "The text encoders of most video models are trained on English; T5 knows little else."
    example = "“Ein Hund läuft am Strand entlang.”"
    remedy = (
        "Translate the captions; leave the rule out with `ignore=['VP202']` if the model knows it."
    )

    def check(self, subject: Subject) -> Iterator[Finding]:
        language = foreign_language(subject.sample.written)
        if language is not None:
            yield self.finding(subject, f"the caption looks like {language}", language=language)
