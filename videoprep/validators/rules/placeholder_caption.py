"""VP206: captions are not what a program writes for a missing value."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Subject, Validator

_PLACEHOLDERS = frozenset(
    ["nan", "none", "null", "nil", "n/a", "na", "<na>", "#n/a", "undefined", "todo", "tbd",
     "caption", "prompt", "text", "untitled", "[object object]", "error", "false", "true"]
)  # fmt: skip


class PlaceholderCaption(Validator):
    """pandas writes a missing caption as nan, Python as None, JavaScript as undefined."""

    code = "VP206"
    name = "placeholder-caption"
    summary = "No caption is a program's word for a missing value."
    why = "The model would learn to make this clip of the word nan."
    example = "nan   ·   None   ·   N/A   ·   TODO"
    remedy = "Write a caption, or remove the sample."

    def check(self, subject: Subject) -> Iterator[Finding]:
        caption = subject.sample.written.strip("\"'.: ")
        if caption.lower() in _PLACEHOLDERS:
            yield self.finding(subject, f"the caption is {caption!r}")
