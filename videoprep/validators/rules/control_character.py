"""VP205: captions hold no characters that cannot be seen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from videoprep.validators.protocol import Finding, Severity, Subject, Validator

# Line ends and tabs are VP012's, or a quoted cell's own. Joiners are part of some scripts and of
# emoji, a soft hyphen and variation selectors change nothing.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u2069\ufeff\ufff9-\ufffb\ufffd\ue000-\uf8ff\ud800-\udfff]"
)


class ControlCharacter(Validator):
    """Control characters, overrides of the writing direction, and what decoding left behind."""

    code = "VP205"
    name = "control-character"
    severity = Severity.WARNING
    summary = "Captions hold no control, direction or replacement characters."
    why = "They become tokens that mean nothing, and can make a text look other than it is."
    example = "An escape sequence, a right-to-left override, the replacement character U+FFFD."
    remedy = "Delete the characters."

    def check(self, subject: Subject) -> Iterator[Finding]:
        found = sorted(set(_UNSEEN.findall(subject.sample.caption)))
        if found:
            shown = ", ".join(map(_named, found[:5])) + (", …" if len(found) > 5 else "")
            yield self.finding(subject, f"the caption holds {shown}")


def _named(char: str) -> str:
    name = unicodedata.name(char, "control character").lower()
    return f"U+{ord(char):04X} ({name})"
