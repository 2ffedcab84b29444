"""Text of strangers, made safe to show: what could steer a terminal or hide text is spelt out."""

from __future__ import annotations

import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def escape_unprintable(text: str, keep: str = "\n") -> str:
    """The text with characters of Unicode's control and format classes written as their codes.

    Escapes, overrides of the writing direction, and lone surrogates, which cannot be written to a
    file, are among them. Those in ``keep`` stay.
    """
    if text.isprintable():  # leaves out more than these classes, and is quick
        return text
    return "".join(
        char
        if char in keep or unicodedata.category(char) not in _UNSEEN
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
