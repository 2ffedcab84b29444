"""Text for people: numbers in words, and text of strangers made safe to show."""

from __future__ import annotations

import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def counted(number: int, noun: str = "") -> str:
    """A number with its noun, in the plural where it is not one."""
    plural = "s" if noun and number != 1 else ""
    return f"{number:,} {noun}{plural}".rstrip()


def written(value: float, digits: int = 2) -> str:
    """A number without zeros at its end."""
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def short(count: int) -> str:
    """A count that fits on a narrow bar."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.{int(count < 10 * size)}f}{unit}"
    return str(count)


def lasting(seconds: float) -> str:
    """How long something is, in the largest unit of which there are some."""
    if seconds < 120:
        return f"{written(seconds, 1 if seconds >= 10 else 2)} seconds"
    return f"{seconds / 60:,.1f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def brief(seconds: float) -> str:
    """The same, where there is little room."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{written(seconds, 1 if seconds >= 10 else 2)} s"


def sized(count: float) -> str:
    """Bytes in a unit that leaves few digits."""
    power = 0
    while count >= 1000 and power < len(_UNITS) - 1:
        count, power = count / 1000, power + 1
    return (
        f"{count:.1f} {_UNITS[power]}" if power and count < 100 else f"{count:.0f} {_UNITS[power]}"
    )


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
