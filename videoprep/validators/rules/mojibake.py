"""VP208: captions are not text that was read in a wrong encoding."""

from __future__ import annotations

from collections.abc import Iterator

from ftfy import fix_encoding

from videoprep.validators.protocol import Finding, Severity, Subject, Validator

_SHOWN = 60

# What never is meant: a character that stands for what could not be read, and the mark of UTF-16
# read as Latin-1.
_CERTAIN = ("\ufffd", "\u00ff\u00fe", "\u00fe\u00ff")


class Mojibake(Validator):
    """Some program before this one took UTF-8 for another encoding, and wrote what it saw."""

    code = "VP208"
    name = "mojibake"
    severity = Severity.WARNING
    summary = "Captions hold no letters that come from a wrong encoding."
    why = "The text encoder takes them as they are: other words than those that were written."
    example = "a clock in a caf\u00c3\u00a9   \u00b7   \u00ff\u00feA dog runs"
    remedy = "Write the caption again; the finding shows what it probably was."

    def check(self, subject: Subject) -> Iterator[Finding]:
        caption = subject.sample.written
        if caption.isascii():
            return
        fixed = fix_encoding(caption)
        if fixed != caption:
            message = f"the caption looks garbled; it was probably {fixed[:_SHOWN]!r}"
            yield self.finding(subject, message, probably=fixed[:_SHOWN])
        elif any(sign in caption for sign in _CERTAIN):
            yield self.finding(subject, "the caption holds characters that could not be read")
